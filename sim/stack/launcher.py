"""Starts the stack's processes, warm or cold, with their environment, sensors and virtual time."""

import os
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sim.errors import SimError
from sim.stack.child import Child, Ended, PipeEnding
from sim.stack.orphans import adopt_orphans, end_orphans
from sim.stack.zygote import Zygote
from sim.timeline import Timeline

REPOSITORY = Path(__file__).parents[2]
INJECTED = REPOSITORY / "sim" / "witness" / "inject"

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "SYSTEMROOT")
"""What a child inherits of our own environment; no other setting of the caller leaks into a scenario."""


class PopenEnding:
    """The exit code of a process this one started itself."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        # Where the kernel tells of the end, nobody has to ask again and again, as `Popen.wait` does up to 50 ms apart.
        self._pid_fd = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None

    def wait(self, timeout_s: float) -> int | None:
        """See `sim.stack.child.Ending`."""
        if self._pid_fd is not None:
            if not select.select([self._pid_fd], [], [], timeout_s)[0]:
                return None
            os.close(self._pid_fd)
            self._pid_fd = None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def send(self, number: int) -> None:
        """See `sim.stack.child.Ending`."""
        self._process.send_signal(number)


@dataclass(slots=True)
class Launcher:
    """Starts processes for one stack and ends what is left of them."""

    evidence: Path
    timeline: Timeline
    zygote: Callable[[], Zygote]
    clock_file: Path
    witness_log: Path
    children: list[Child] = field(default_factory=list)
    _parents: set[int] = field(default_factory=set)

    def warm(
        self,
        module: str,
        argv: Sequence[str],
        *,
        actor: str,
        environment: Mapping[str, str],
        stdin: int | None = None,
        zygote: Zygote | None = None,
    ) -> Child:
        """A child forked from the warm process, or from `zygote`, running `module` as `python -m` would."""
        full = self._environment(actor, environment)
        stdout_file, stderr_file = self._files(actor)
        with stdout_file.open("wb") as stdout, stderr_file.open("wb") as stderr, open(os.devnull, "rb") as nothing:
            streams = (nothing.fileno() if stdin is None else stdin, stdout.fileno(), stderr.fileno())
            zygote = zygote or self.zygote()
            forked = zygote.fork(module, argv, environment=full, folder=REPOSITORY, streams=streams)
        self._parents.add(zygote.pid)
        ending = PipeEnding(forked.exit_code_fd, forked.pid, forked.pid_fd)
        return self._started(forked.pid, actor, stdout_file, stderr_file, ending, argv=[module, *argv], full=full)

    def cold(
        self,
        command: Sequence[str],
        *,
        actor: str,
        environment: Mapping[str, str],
        stdin: int | None = None,
        through: Sequence[str] = (),
    ) -> Child:
        """A child started from scratch, any executable; `through` are the words of one that then becomes it.

        Raises: `SimError` (`process/cannot_start`).
        """
        full = self._environment(actor, environment) | {"PYTHONPATH": f"{INJECTED}{os.pathsep}{REPOSITORY}"}
        stdout_file, stderr_file = self._files(actor)
        # Before it starts: a process may be gone, and its orphan given to init, by the time that it is asked for.
        if adopt_orphans():
            self._parents.add(os.getpid())
        with stdout_file.open("wb") as stdout, stderr_file.open("wb") as stderr:
            process = _spawn([*through, *command], full, stdin, stdout, stderr)
        return self._started(
            process.pid, actor, stdout_file, stderr_file, PopenEnding(process), argv=list(command), full=full
        )

    def left_behind(self) -> list[str]:
        """Processes that a child started and that outlived it: `actor: process N` each. Effects: they are killed."""
        actors = {child.pid: child.actor for child in self.children}
        return [
            f"{actors[session]}: process {pid}"
            for parent in sorted(self._parents)
            for pid, session in end_orphans(parent, actors)
        ]

    def end_all(self) -> list[Child]:
        """The children that still ran, killed now."""
        left = [child for child in self.children if child.is_running()]
        for child in left:
            child.kill()
        return left

    def _environment(self, actor: str, environment: Mapping[str, str]) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **passed_on,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "SIM_WITNESS_LOG": str(self.witness_log),
            "SIM_WITNESS_ACTOR": actor,
            "SIM_CLOCK_FILE": str(self.clock_file),
            **environment,
        }

    def _files(self, actor: str) -> tuple[Path, Path]:
        # An id of 128 letters is allowed, and may be longer in bytes than a file's name.
        stem = f"{len(self.children):03d}-{actor[:60].replace(':', '-').replace('/', '-')}"
        return self.evidence / f"{stem}.out", self.evidence / f"{stem}.err"

    def _started(
        self,
        pid: int,
        actor: str,
        stdout_file: Path,
        stderr_file: Path,
        ending: PipeEnding | PopenEnding,
        *,
        argv: Sequence[str],
        full: Mapping[str, str],
    ) -> Child:
        self.timeline.record(
            actor=actor, kind="process.started", subject=str(pid), argv=list(argv), environment=_shown(full)
        )
        child = Child(
            pid=pid,
            actor=actor,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
            _ending=ending,
            _on_end=lambda ended: self._ended(actor, ended),
        )
        self.children.append(child)
        return child

    def _ended(self, actor: str, ended: Ended) -> None:
        self.timeline.record(
            actor=actor,
            kind="process.ended",
            subject=str(ended.pid),
            exit_code=ended.exit_code,
            stderr=ended.stderr[-4000:],
        )


def worker_command(text: str) -> list[str]:
    """The words of `--worker-command`; `{python}` stands for this interpreter.

    Raises: `SimError` (`process/cannot_start`) for an empty or unbalanced command, and for a program that is not there.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SimError("process/cannot_start", f"--worker-command {text!r} cannot be split: {error}") from error
    if not words:
        raise SimError("process/cannot_start", "--worker-command is empty; give the command that starts your worker")
    command = [sys.executable if word == "{python}" else word for word in words]
    # Workers run in the repository, so a relative path is one from there.
    program = str(REPOSITORY / command[0]) if os.sep in command[0] else command[0]
    if shutil.which(program) is None:
        raise SimError(
            "process/cannot_start",
            f"--worker-command begins with {command[0]!r}, which is no program on PATH or below {REPOSITORY}; "
            "name the one that starts your worker",
        )
    return command


def _shown(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as evidence: everything but passwords and keys."""
    hidden = ("PASSWORD", "API_KEY", "API_SECRET")
    return {
        name: "[scrubbed]" if any(word in name for word in hidden) else value for name, value in environment.items()
    }


def _spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: int | None,
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=REPOSITORY,
            start_new_session=True,
        )
    except OSError as error:
        raise SimError(
            "process/cannot_start", f"cannot start {command[0]!r} ({error.strerror}); check --worker-command"
        ) from error
