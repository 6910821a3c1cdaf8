"""Makes `.venv` hold exactly what `requirements.lock` pins, and this project itself.

With `--clients` it makes `.venv-clients`, too, for other people's clients of the exchange, which the tests run.

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
# Other people's clients of the exchange, which the tests run as processes: they pin versions that are not ours.
CLIENTS = ROOT / ".venv-clients"
CLIENTS_STAMP = CLIENTS / "made-for.json"
CLIENTS_LOCK = ROOT / "tests" / "clients" / "requirements.lock"
# Compiling all of them takes longer than the tests that use them; importing these compiles what is used.
CLIENT_MODULES = ("ccxt.pro", "binance", "binance_sdk_spot.spot")
QUIET = ["-qq", "--disable-pip-version-check", "--no-input"]


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted_stamp() -> dict[str, str]:
    """What the environment must have been made for. The tool tables of pyproject.toml do not matter to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = {"build": project.get("build-system"), "project": project["project"]}
    tables = hashlib.sha256(json.dumps(installed, sort_keys=True).encode()).hexdigest()
    return {"lock_sha256": digest_of(LOCK), "tables_sha256": tables, "folder": str(ROOT)}


def wanted_clients_stamp() -> dict[str, str]:
    """What the clients' environment must have been made for."""
    return {"lock_sha256": digest_of(CLIENTS_LOCK), "folder": str(ROOT)}


def is_made_for(stamp_file: Path, wanted: dict[str, str], wanted_python: str) -> bool:
    """Whether an environment was finished for these inputs, this folder and, if one is named, that Python."""
    try:
        stamp = json.loads(stamp_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if wanted_python:
        probe = [wanted_python, "-c", "import os, sys; print(os.path.realpath(sys._base_executable))"]
        named = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
        if named != stamp.get("python"):
            return False
    return all(stamp.get(key) == value for key, value in wanted.items())


def is_ready(wanted_python: str) -> bool:
    """Run by the environment's own Python: one whose base was removed cannot answer and so is not ready."""
    return is_made_for(STAMP, wanted_stamp(), wanted_python)


def has_clients(wanted_python: str) -> bool:
    return python_in(CLIENTS).exists() and is_made_for(CLIENTS_STAMP, wanted_clients_stamp(), wanted_python)


def python_in(environment: Path) -> Path:
    return environment / "bin" / "python"


def base_python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


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


def remove_old(environment: Path) -> None:
    if environment.is_symlink() or environment.is_file():
        environment.unlink()
    elif environment.exists():
        say(f"removing the old or half-made {environment.name}")
        shutil.rmtree(environment)


def make_venv(way: str, environment: Path) -> list[str]:
    """The pip command that installs into the new, empty `environment`."""
    remove_old(environment)
    say(f"making {environment.name}")
    python = str(python_in(environment))
    no_venv = f"{sys.executable} could not make {environment.name}, see above; PYTHON=/path/to/python3.x picks another"
    pip = [python, "-m", "pip"]
    match way:
        case "virtualenv":
            run([sys.executable, "-m", "virtualenv", "--quiet", str(environment)], or_else=no_venv)
        case "pip":
            run([sys.executable, "-m", "venv", "--without-pip", str(environment)], or_else=no_venv)
            pip = [sys.executable, "-m", "pip", "--python", python]
        case _:
            run([sys.executable, "-m", "venv", str(environment)], or_else=no_venv)
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


def write_stamp(path: Path, stamp: dict[str, object]) -> None:
    write_whole(path, json.dumps(stamp, indent=2, sort_keys=True) + "\n")


def make(way: str) -> None:
    say(f"Python {sys.version.split()[0]} at {sys.executable}")
    pip = make_venv(way, ENVIRONMENT)
    install_lock(pip, LOCK)
    say("installing this project, editable")
    # The compatible editable mode is one line in a .pth file; the others put an import hook into every start.
    editable = ["--no-deps", "--config-settings", "editable_mode=compat", "--editable", str(ROOT)]
    run([*pip, "install", *QUIET, *editable], or_else="could not install this project, see above")
    finish(pip)
    write_stamp(STAMP, {**wanted_stamp(), "python": base_python(), "pip": pip})


def add_extra(extra: str) -> None:
    pip = json.loads(STAMP.read_text(encoding="utf-8"))["pip"]
    install_lock(pip, EXTRA_LOCKS[extra])
    finish(pip)
    write_whole(stamp_of(extra), digest_of(EXTRA_LOCKS[extra]))


def make_clients(way: str) -> None:
    pip = make_venv(way, CLIENTS)
    install_lock(pip, CLIENTS_LOCK)
    run([*pip, "check", *QUIET], or_else=f"{CLIENTS_LOCK.relative_to(ROOT)} contradicts itself, see above")
    for module in CLIENT_MODULES:
        run([str(python_in(CLIENTS)), "-c", f"import {module}"], or_else=f"could not import {module}, see above")
    write_stamp(CLIENTS_STAMP, {**wanted_clients_stamp(), "python": base_python()})


def make_what_is_missing(way: str, *, extras: list[str], clients: bool) -> None:
    """Effects: `.venv`. Two commands started at once on a fresh clone: the second waits and finds the work done."""
    began = time.monotonic()
    wanted_python = os.environ.get("PYTHON", "")
    with LOCK.open("rb") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (PYTHON.exists() and is_ready(wanted_python)):
            make(way)
        for extra in extras:
            if not has_extra(extra):
                add_extra(extra)
        if clients and not has_clients(wanted_python):
            make_clients(way)
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
    parser.add_argument("--clients", action="store_true", help="also other people's clients, which the tests run")
    arguments = parser.parse_args()
    if arguments.is_ready is not None:
        ready = is_ready(arguments.is_ready) and all(map(has_extra, arguments.extras))
        ready = ready and (not arguments.clients or has_clients(arguments.is_ready))
        return 0 if ready else 1
    try:
        make_what_is_missing(arguments.way, extras=arguments.extras, clients=arguments.clients)
    except OSError as error:
        raise SystemExit(f"set-up: could not make {ENVIRONMENT}: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
