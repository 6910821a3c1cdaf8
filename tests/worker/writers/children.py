"""The test's side of `crash_child`: one process that forks a child per action."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended; `steps` is empty for a killed one."""

    exit_code: int
    steps: tuple[str, ...]
    error: str | None
    errno: int | None
    operation: str | None

    @property
    def was_killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


class Children:
    """Runs actions of `homes.ACTIONS`, each in a child of its own, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.writers.crash_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        action: str,
        root: Path,
        *,
        kill_at: int | None = None,
        max_file_bytes: int | None = None,
        unprivileged: bool = False,
    ) -> Ended:
        """The child's end. It is bounded: each child has an alarm."""
        self.start(action, root, kill_at=kill_at, max_file_bytes=max_file_bytes, unprivileged=unprivileged)
        return self.wait()

    def start(self, action: str, root: Path, **limits: Any) -> None:
        """Start a child and do not wait for it."""
        defaults = {"kill_at": None, "max_file_bytes": None, "unprivileged": False}
        request = {"action": action, "root": str(root), **defaults, **limits}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def wait(self) -> Ended:
        """The end of the child started last."""
        assert self._process.stdout is not None
        report = json.loads(self._process.stdout.readline())
        return Ended(
            exit_code=report["exit"],
            steps=tuple(report["steps"]),
            error=report.get("error"),
            errno=report.get("errno"),
            operation=report.get("operation"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
