"""Runs one action of `keeping_process` in a process of its own, up to where it stands still."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
MAX_WAIT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Another:
    """A process and the first line it told."""

    process: "subprocess.Popen[str]"
    told: str


def begin(action: str, root: Path, argument: str, *, umask: int = 0o022) -> "subprocess.Popen[str]":
    """The process, of which nothing is known yet."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sim.postgres.keeping_process", action, str(root), argument],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        umask=umask,
    )


@contextmanager
def another_process(action: str, root: Path, argument: str = "", *, umask: int = 0o022) -> Iterator[Another]:
    """The process once it has told its first line; it is killed at the end."""
    process = begin(action, root, argument, umask=umask)
    try:
        yield Another(process=process, told=_line(process))
    finally:
        process.kill()
        process.communicate(timeout=MAX_WAIT_S)


def go_on(another: Another) -> str:
    """The next line of the process, which was let go where it stood; empty when it failed."""
    assert another.process.stdin is not None
    another.process.stdin.write("\n")
    another.process.stdin.flush()
    return _line(another.process)


def end_of(action: str, root: Path, argument: str = "") -> int:
    """The exit code of a process that needs no waiting for."""
    with begin(action, root, argument) as process:
        process.communicate(timeout=MAX_WAIT_S)
    return process.returncode


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
