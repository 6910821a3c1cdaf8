"""Changes the worker's functions one at a time and sees that a test notices: `make mutants`.

    python -m tests.mutants.run [--keep] [--only PATTERN …] [package …]

Each package gets a copy of the source below `build/mutants/`, where mutmut makes its mutants and runs, for each, the
tests that call the changed function, the likeliest to notice first. What ends otherwise than killed or alive is tried
once more with every test of the package, in a process of its own; so is what lives, where functions of the package run
in children. Exit 1 for a mutant that lives and is not listed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from sim.postgres.server import Kind, open_run, stack_template, start_server
from tests.mutants.likeliest_first import NOTICED
from tests.mutants.survivors import Mutant, mutant_of, not_listed

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mutants"
BIN = Path(sys.executable).parent
PROCESSES = 2
MAX_RETRY_S = 300
NICENESS = 15

TESTS = {
    "guards": ("tests/worker/guards",),
    "writers": ("tests/worker/writers",),
    "services": ("tests/worker/services",),
    "handlers": ("tests/worker/handlers", "tests/worker/bus"),
    "bus": ("tests/worker/bus",),
}
"""The tests that have to notice a mutant of the package, in the order in which packages are tried."""

IN_CHILDREN = ("tests/worker/writers/test_disk_errors.py", "tests/worker/writers/test_two_files_killed.py")
"""Tests whose subject runs in a child that mutmut cannot watch (no right to read, killed): they come second."""

STARTS_CHILDREN = frozenset({"writers"})
"""The packages whose functions also run in processes that a test starts: mutmut does not see which tests those are."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
COPIED = ("worker", "sim", "tests", "scripts", "README.md", "LICENSE")
PYTEST = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")
# The types are checked by `make test` as well: what mypy refuses never comes to a test.
MYPY_CONFIG = "[mypy]\nstrict = true\nexplicit_package_bases = true\n"
# Imported once, before a process is forked per mutant. No test module: collected twice, its ids are not the same.
PRELOADED = (
    "pytest",
    *(f"_pytest.{name}" for name in ("faulthandler", "helpconfig", "junitxml", "pastebin", "setuponly", "setupplan")),
    *(f"_pytest.{name}" for name in ("skipping", "threadexception", "unittest", "unraisableexception", "warnings")),
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg",
    "sim.stack.stack",
    "worker.bus.loop",
    "tests.mutants.frozen",
)
# Of the installed plugins one is needed; the imports of the others would take a third of a short run.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p pytest_timeout"}
# Hypothesis then tries the same examples for every mutant and has no deadline: on a busy machine an example takes more
# than its 200 ms, which ends the run, or passes for a mutant that was noticed.
STEADY = {"CI": "true"}

CONFIG = """
[tool.mutmut]
source_paths = ["worker"]
only_mutate = ["worker/{package}/*"]
also_copy = ["sim", "scripts", "README.md", "mypy.ini"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "tests.mutants.likeliest_first"]
type_check_command = ["mypy", "worker/{package}", "--output", "json", "--config-file", "mypy.ini", \
"--disable-error-code", "unused-ignore"]
process_isolation = "forkserver"
forkserver_warmup = "import"
preload_modules_file = "preloaded.txt"
timeout_constant = 8.0
timeout_multiplier = 3.0
use_git_change_detection = false
"""


def make_workspace(package: str, *, keep: bool) -> Path:
    """The folder in which mutmut runs. Effects: the source is copied there; without `keep` earlier results are gone."""
    workspace = BUILD / package
    if not keep:
        shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, copy = ROOT / name, workspace / name
        if source.is_dir():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)
    shutil.rmtree(workspace / "mutants" / "tests", ignore_errors=True)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    first = [*TESTS[package], *(f"--ignore={path}" for path in IN_CHILDREN)]
    config = CONFIG.format(package=package, tests=json.dumps(first))
    (workspace / "pyproject.toml").write_text(project + config, encoding="utf-8")
    (workspace / "mypy.ini").write_text(MYPY_CONFIG, encoding="utf-8")
    (workspace / "preloaded.txt").write_text("\n".join(PRELOADED), encoding="utf-8")
    return workspace


def mutmut(workspace: Path, *arguments: str) -> str:
    """What mutmut printed. Raises `SystemExit` with the end of it where mutmut could not do its work."""
    ended = subprocess.run(
        [str(BIN / "mutmut"), *arguments],
        cwd=workspace,
        env={**os.environ, **PLUGINS, **STEADY, NOTICED: str(workspace / "noticed.txt")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ended.returncode != 0:
        # What turns while mutmut waits is a line of its own here.
        told = "\n".join(line for line in ended.stdout.splitlines() if line[:1] not in SPINNER)[-4000:]
        raise SystemExit(f"mutmut {' '.join(arguments)} ended with {ended.returncode}:\n{told}")
    return ended.stdout


def outcomes(workspace: Path, only: Sequence[str]) -> dict[str, str]:
    """How each mutant ended, by its name; with patterns in `only`, how each ended whose name one of them matches."""
    told = mutmut(workspace, "results", "--all", "True")
    ends: dict[str, str] = dict(re.findall(r"^ +(\S+): (.+)$", told, re.MULTILINE))
    return {name: end for name, end in ends.items() if not only or any(fnmatchcase(name, one) for one in only)}


def try_again(workspace: Path, package: str, name: str) -> str:
    """How the mutant ends when every test of the package has its chance."""
    try:
        ended = subprocess.run(
            [str(BIN / "pytest"), "-x", "-q", *PYTEST, *TESTS[package]],
            cwd=workspace / "mutants",
            env={**os.environ, **STEADY, "MUTANT_UNDER_TEST": name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=MAX_RETRY_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return {0: "survived", 1: "killed"}.get(ended.returncode, "could not be tried")


def doubtful_in(workspace: Path, ends: dict[str, str]) -> dict[str, Mutant]:
    """The mutants that no test and no type has killed."""
    names = [name for name, end in ends.items() if end not in ("killed", "caught by type check")]
    with ThreadPoolExecutor(PROCESSES) as pool:
        told = pool.map(lambda name: mutmut(workspace, "show", name), names)
        return {name: mutant_of(name, diff) for name, diff in zip(names, told, strict=True)}


def survivors_of(workspace: Path, package: str, ends: dict[str, str]) -> dict[str, Mutant]:
    """The mutants that live when all has been tried. Effects: `ends` says how those ended that were tried again."""
    doubtful = doubtful_in(workspace, ends)
    new = set(not_listed(doubtful.values()))
    again = [
        name
        for name, mutant in doubtful.items()
        if ends[name] != "survived" or (package in STARTS_CHILDREN and mutant in new)
    ]
    with ThreadPoolExecutor(PROCESSES) as pool:
        ends.update(zip(again, pool.map(lambda name: try_again(workspace, package, name), again), strict=True))
    return {name: mutant for name, mutant in doubtful.items() if ends[name] not in ("killed", "timeout")}


def meet_better_tests(workspace: Path) -> None:
    """Effects: mutmut tries what lived in an earlier run and is not listed; the tests may be better than they were."""
    ends = outcomes(workspace, only=())
    doubtful = doubtful_in(workspace, {name: end for name, end in ends.items() if end == "survived"})
    new = set(not_listed(doubtful.values()))
    again = [name for name, mutant in doubtful.items() if mutant in new]
    if again:
        mutmut(workspace, "run", "--max-children", str(PROCESSES), *again)


def play(package: str, *, keep: bool, only: Sequence[str]) -> list[Mutant]:
    """The survivors nobody has looked at yet. Effects: prints the figures of the package, or of its part `only`."""
    began = time.monotonic()
    workspace = make_workspace(package, keep=keep)
    mutmut(workspace, "run", "--max-children", str(PROCESSES), *only)
    if keep and not only:
        meet_better_tests(workspace)
    ends = outcomes(workspace, only)
    living = survivors_of(workspace, package, ends)
    new = not_listed(living.values())
    counted = Counter(ends.values())
    minutes = (time.monotonic() - began) / 60
    print(
        f"{package}: {len(ends)} mutants, {counted['killed']} killed by tests, {counted['caught by type check']} by "
        f"types, {counted['timeout']} by time; {len(living)} alive, {len(living) - len(new)} of them listed; "
        f"{minutes:.0f} minutes",
        flush=True,
    )
    for mutant in new:
        print(mutant.told(), flush=True)
    return new


@contextmanager
def one_server() -> Iterator[None]:
    """Effects: every process started inside shares one Postgres server."""
    run = open_run()
    server = start_server(Kind.EMBEDDED, run, stack_template())
    os.environ["SIM_SHARED_SERVER"] = json.dumps(server.to_plain())
    try:
        yield
    finally:
        server.stop()
        run.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--keep", action="store_true", help="go on from what an earlier run found out; its survivors are tried anew"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="try only mutants of a name like this, each of them anew: worker.guards.limits.* or *.x_refuse__mutmut_*",
    )
    parser.add_argument("packages", nargs="*", choices=list(TESTS), default=list(TESTS))
    wanted = parser.parse_args(arguments)
    # Whoever started it under a higher one meant that.
    os.nice(max(0, NICENESS - os.nice(0)))
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with one_server():
        new = [mutant for package in wanted.packages for mutant in play(package, keep=wanted.keep, only=wanted.only)]
    print(f"{len(new)} survivors to look at" if new else "no survivor that is not listed")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
