"""Makes `.venv` hold exactly what `requirements.lock` pins, and this project itself.

Started by `scripts/setup`, with nothing but the standard library. A stamp, written last, says for which lock,
project tables, folder and Python the environment was made; without the right stamp it is made afresh, so a
run that was cut short never leaves a half-made one in use.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "made-for.json"
LOCK = ROOT / "requirements.lock"
# What only one command needs is installed when that command is first used.
EXTRA_LOCKS = {
    "benchmarks": ROOT / "benchmarks" / "requirements.lock",
    "mutants": ROOT / "tests" / "mutants" / "requirements.lock",
}
QUIET = ["-qq", "--disable-pip-version-check", "--no-input"]


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted_stamp() -> dict[str, str]:
    """What the environment must have been made for. The tool tables of pyproject.toml do not matter to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = {"build": project.get("build-system"), "project": project["project"]}
    tables = hashlib.sha256(json.dumps(installed, sort_keys=True).encode()).hexdigest()
    return {"lock_sha256": digest_of(LOCK), "tables_sha256": tables, "folder": str(ROOT)}


def is_ready(wanted_python: str) -> bool:
    """Whether `.venv` was finished for these inputs, this folder and, if one is named, that Python.

    Run by the environment's own Python: one whose base was removed cannot answer and so is not ready.
    """
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if wanted_python:
        probe = [wanted_python, "-c", "import os, sys; print(os.path.realpath(sys._base_executable))"]
        named = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
        if named != stamp.get("python"):
            return False
    return all(stamp.get(key) == wanted for key, wanted in wanted_stamp().items())


def stamp_of(extra: str) -> Path:
    return ENVIRONMENT / f"made-for-{extra}.json"


def has_extra(extra: str) -> bool:
    try:
        return stamp_of(extra).read_text(encoding="utf-8") == digest_of(EXTRA_LOCKS[extra])
    except OSError:
        return False


def say(sentence: str) -> None:
    print(f"set-up: {sentence}", flush=True)


def run(command: list[str], *, or_else: str) -> None:
    """Runs one command, its output shown. Raises SystemExit with the sentence `or_else` when it fails."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise SystemExit(f"set-up: {or_else}")


def remove_old() -> None:
    if ENVIRONMENT.is_symlink() or ENVIRONMENT.is_file():
        ENVIRONMENT.unlink()
    elif ENVIRONMENT.exists():
        say("removing the old or half-made .venv")
        shutil.rmtree(ENVIRONMENT)


def make_venv(way: str) -> list[str]:
    """The pip command that installs into the new, empty `.venv`."""
    no_venv = f"{sys.executable} could not make .venv, see above; PYTHON=/path/to/python3.x picks another one"
    pip = [str(PYTHON), "-m", "pip"]
    match way:
        case "virtualenv":
            run([sys.executable, "-m", "virtualenv", "--quiet", str(ENVIRONMENT)], or_else=no_venv)
        case "pip":
            run([sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT)], or_else=no_venv)
            pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
        case _:
            run([sys.executable, "-m", "venv", str(ENVIRONMENT)], or_else=no_venv)
    return pip


def install_lock(pip: list[str], lock: Path) -> None:
    packages = sum(1 for line in lock.read_text(encoding="utf-8").splitlines() if line.strip())
    name = lock.relative_to(ROOT)
    say(f"installing the {packages} packages of {name} (the only step that needs a network)")
    run(
        [*pip, "install", *QUIET, "--no-deps", "--requirement", str(lock)],
        or_else=f"could not install the packages of {name}, see above; is a package index in reach?",
    )


def finish(pip: list[str]) -> None:
    """Checks that the locked packages suit each other, and compiles all of them."""
    run([*pip, "check", *QUIET], or_else="the lock files contradict each other, see above")
    say("compiling bytecode")
    run(
        [str(PYTHON), "-m", "compileall", "-q", "-j", "0", "worker", "sim", str(ENVIRONMENT / "lib")],
        or_else="could not compile the installed packages, see above",
    )


def write_whole(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def make(way: str) -> None:
    say(f"Python {sys.version.split()[0]} at {sys.executable}")
    remove_old()
    say("making .venv")
    pip = make_venv(way)
    install_lock(pip, LOCK)
    say("installing this project, editable")
    # The compatible editable mode is one line in a .pth file; the others put an import hook into every start.
    editable = ["--no-deps", "--config-settings", "editable_mode=compat", "--editable", str(ROOT)]
    run([*pip, "install", *QUIET, *editable], or_else="could not install this project, see above")
    finish(pip)
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    write_whole(STAMP, json.dumps({**wanted_stamp(), "python": base, "pip": pip}, indent=2, sort_keys=True) + "\n")


def add_extra(extra: str) -> None:
    pip = json.loads(STAMP.read_text(encoding="utf-8"))["pip"]
    install_lock(pip, EXTRA_LOCKS[extra])
    finish(pip)
    write_whole(stamp_of(extra), digest_of(EXTRA_LOCKS[extra]))


def make_what_is_missing(way: str, *, extras: list[str]) -> None:
    """Effects: `.venv`. Two commands started at once on a fresh clone: the second waits and finds the work done."""
    began = time.monotonic()
    with LOCK.open("rb") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (PYTHON.exists() and is_ready(os.environ.get("PYTHON", ""))):
            make(way)
        for extra in extras:
            if not has_extra(extra):
                add_extra(extra)
    say(f"done in {time.monotonic() - began:.0f} s; the next run skips this")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--is-ready", metavar="PYTHON", help="exit 0 if nothing is to do; PYTHON may be empty")
    parser.add_argument("--way", choices=["ensurepip", "pip", "virtualenv"], default="ensurepip")
    for extra in EXTRA_LOCKS:
        parser.add_argument(
            f"--{extra}",
            action="append_const",
            dest="extras",
            const=extra,
            default=[],
            help="also what only this command needs",
        )
    arguments = parser.parse_args()
    if arguments.is_ready is not None:
        ready = is_ready(arguments.is_ready) and all(map(has_extra, arguments.extras))
        return 0 if ready else 1
    try:
        make_what_is_missing(arguments.way, extras=arguments.extras)
    except OSError as error:
        raise SystemExit(f"set-up: could not make {ENVIRONMENT}: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
