"""`scripts/setup` on machines that are not as one would wish: it says what is missing, in one sentence."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED_TOOLS = ("sh", "awk", "dirname", "env")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the set-up and its inputs, and without an environment."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only folder on the PATH: the tools of any Unix, and no Python."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for tool in NEEDED_TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (folder / tool).symlink_to(found)
    return folder


def put_python(programs: Path, name: str, body: str) -> None:
    program = programs / name
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)


def set_up(checkout: Path, programs: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(programs), "HOME": str(checkout)}
    command = [str(checkout / "scripts" / "setup"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_machine_without_python_is_told_what_to_install(checkout: Path, programs: Path) -> None:
    result = set_up(checkout, programs)

    assert result.returncode == 2
    assert "expected Python 3.11 to 3.14" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_launcher_that_refuses_to_run_counts_as_no_python(checkout: Path, programs: Path) -> None:
    put_python(programs, "python3.13", "echo 'python3.13: command not found' >&2; exit 127")

    result = set_up(checkout, programs)

    assert result.returncode == 2
    assert "expected Python 3.11 to 3.14" in result.stderr


def test_python_that_cannot_make_an_environment_is_named_with_the_remedy(checkout: Path, programs: Path) -> None:
    # It knows its version and nothing else: no ensurepip, no pip, no virtualenv.
    put_python(programs, "python3.12", 'case "$2" in *import\\ venv*) exit 1 ;; esac')

    result = set_up(checkout, programs)

    assert result.returncode == 2
    assert "python3.12 cannot make a virtual environment" in result.stderr
    assert "python3-venv" in result.stderr


def test_older_python_on_the_path_is_passed_over_for_a_suitable_one(checkout: Path, programs: Path) -> None:
    put_python(programs, "python3", "exit 1")
    put_python(programs, "python3.11", '[ "$1" = -c ] || echo "chosen: $*"')

    result = set_up(checkout, programs)

    assert (result.returncode, result.stdout) == (0, "chosen: scripts/make_environment.py --way ensurepip\n")


def test_finished_environment_is_left_alone(checkout: Path, programs: Path) -> None:
    put_python(programs, "python3.11", '[ "$1" = -c ] || echo "chosen: $*"')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    put_python(checkout / ".venv" / "bin", "python", "exit 0")

    result = set_up(checkout, programs)

    assert (result.returncode, result.stdout) == (0, "")


def test_half_made_environment_is_made_afresh(checkout: Path, programs: Path) -> None:
    put_python(programs, "python3.11", '[ "$1" = -c ] || echo "chosen: $*"')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    put_python(checkout / ".venv" / "bin", "python", "exit 1")

    result = set_up(checkout, programs)

    assert result.stdout.startswith("chosen:")


def test_clients_that_are_wanted_are_made_beside_a_finished_environment(checkout: Path, programs: Path) -> None:
    put_python(programs, "python3.11", '[ "$1" = -c ] || echo "chosen: $*"')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    put_python(checkout / ".venv" / "bin", "python", 'case "$*" in *--clients*) exit 1 ;; esac')

    result = set_up(checkout, programs, "--clients")

    assert result.stdout == "chosen: scripts/make_environment.py --way ensurepip --clients\n"
    assert set_up(checkout, programs).stdout == ""


def test_set_up_never_runs_from_the_environment_it_makes(checkout: Path, programs: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    put_python(checkout / ".venv" / "bin", "python3.11", '[ "$1" = -c ] || echo "chosen: $*"')
    activated = f"{checkout / '.venv' / 'bin'}{os.pathsep}{programs}"

    result = subprocess.run(
        [str(checkout / "scripts" / "setup")],
        env={"PATH": activated},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert "found none" in result.stderr
