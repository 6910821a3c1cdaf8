"""What is told about texts: hosts in strange letters, files that are too large, and the secrets of the run itself."""

import sys

import pytest

from sim.stack.evidence import MAX_TEXT_BYTES
from sim.stack.stack import Stack

SAY = "import os, sys; {stream}.write('word ' + 'x' * {before} + {what} + 'x ' * 2500)"
PASSWORD = "os.environ['GUI_DB_PASSWORD']"


def rules_of(unjudged: Stack) -> set[str]:
    return {breach.rule for breach in unjudged.finish()}


def run_python(unjudged: Stack, code: str) -> None:
    """Effects: a worker that is not ours ran `code` and ended."""
    unjudged.worker.command = [sys.executable, "-c", code]
    unjudged.worker.run_once("w1")


@pytest.mark.parametrize("stream", ["sys.stdout", "sys.stderr"])
@pytest.mark.parametrize(("what", "broken"), [(PASSWORD, {"secret_in_the_trail"}), ("'nothing'", set())])
def test_password_that_a_process_prints_anywhere_is_told(
    unjudged: Stack, stream: str, what: str, broken: set[str]
) -> None:
    run_python(unjudged, SAY.format(stream=stream, before=5, what=what))

    assert rules_of(unjudged) & {"secret_in_the_trail"} == broken


@pytest.mark.parametrize("name", ["logs/worker.log", "state/audit_snapshots/x.json"])
def test_password_in_a_file_of_the_home_is_told(unjudged: Stack, name: str) -> None:
    path = unjudged.home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"the word is {unjudged.lease.address.password}")

    assert "secret_in_the_trail" in rules_of(unjudged)


def test_host_in_full_width_letters_in_a_row_is_told(unjudged: Stack) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "api.binance.com")
    unjudged.given.profile(name=wide)

    assert rules_of(unjudged) == {"mainnet_path_visible"}


@pytest.mark.parametrize(("size", "broken"), [(100_000, {"mainnet_path_visible"}), (10, {"mainnet_path_visible"})])
def test_host_in_a_file_is_told_whatever_its_size(unjudged: Stack, size: int, broken: set[str]) -> None:
    (unjudged.home / "logs" / "bot.log").write_text("x" * size + " api.binance.com")

    assert rules_of(unjudged) & {"mainnet_path_visible"} == broken


@pytest.mark.parametrize(("size", "broken"), [(MAX_TEXT_BYTES + 1, {"mainnet_path_visible"}), (100_000, set())])
def test_file_that_is_too_large_to_be_read_is_told(unjudged: Stack, size: int, broken: set[str]) -> None:
    (unjudged.home / "logs" / "bot.log").write_bytes(b"x" * size)

    assert rules_of(unjudged) & {"mainnet_path_visible"} == broken


def test_nothing_unscrubbed_is_left_beside_the_evidence(unjudged: Stack) -> None:
    run_python(unjudged, SAY.format(stream="sys.stderr", before=5, what=PASSWORD))

    unjudged.keep(unjudged.finish())

    password = unjudged.lease.address.password
    files = [path for path in unjudged.evidence.rglob("*") if path.is_file()]
    assert [path.name for path in files if password in path.read_text()] == []
    assert [path.name for path in unjudged.evidence.glob("*.err")] == []
    assert "word xxxxx[scrubbed]" in next((unjudged.evidence / "forensics" / "raw").glob("*.err")).read_text()
