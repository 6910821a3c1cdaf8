"""Workers started warm and cold, and what can be seen of them from outside."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from sim.stack.child import Child, wait_until
from sim.stack.launcher import Launcher

WORKER = "worker.command_worker"
Settings = dict[str, str]


def warm(launcher: Launcher, argv: list[str], environment: Settings) -> Child:
    return launcher.warm(WORKER, argv, actor="worker:w1", environment=environment)


def cold(launcher: Launcher, argv: list[str], environment: Settings) -> Child:
    return launcher.cold([sys.executable, "-m", WORKER, *argv], actor="worker:w1", environment=environment)


def until_listening(child: Child) -> None:
    wait_until(lambda: not child.is_running() or "listening" in child.stderr_file.read_text(), "a worker in its loop")
    assert child.is_running(), child.wait().stderr


def open_files(pid: int) -> list[str]:
    """What the process has open, without the numbers that tell one pipe or socket from another."""
    folder = Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(link).split(":[")[0] for link in folder.iterdir())


def gone(pid: int) -> bool:
    """Asked once: a process that is taken note of between two questions is gone too, not an error."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def outcome(start: Callable[..., Child], launcher: Launcher, argv: list[str]) -> tuple[int, str, str]:
    ended = start(launcher, argv, {"WORKER_ID": "w1", "SIM_CLOCK_FILE": "", "SIM_WITNESS_LOG": "", "COLUMNS": "80"})
    done = ended.wait()
    return done.exit_code, done.stdout, done.stderr
