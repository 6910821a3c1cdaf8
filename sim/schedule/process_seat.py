"""Real mode, the director's side: an actor that is a process of its own, driven over a socket.

A kill is SIGKILL of that process: no `finally`, no rollback, no flush. It is over once the server has ended its
session, so that nobody races with a session that is still dying.
"""

import fcntl
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sim.errors import SimError
from sim.schedule.gate import Done, Effect, Isolation, Need, Report, Verdict
from sim.schedule.outcome import Outcome, OutcomeKind, succeeded, unknown
from sim.schedule.process_actor import MAX_MESSAGE_BYTES
from sim.schedule.step import Ordinals
from sim.schedule.stopwatch import now_s

MAX_START_S = 30.0
PATIENCE_S = 0.005
"""A step of a process that waits for nobody takes a millisecond or two, measured, with its code up to the next one."""

MAX_LEAVE_S = 10.0
"""How long a session may outlive its process; 1.6 ms is usual, measured."""


class Ended(Protocol):
    """How a process ended; `exit_code` is negative for a signal."""

    @property
    def exit_code(self) -> int: ...


class Process(Protocol):
    """A process that was started with its end of the socket."""

    @property
    def pid(self) -> int: ...

    def wait(self, timeout_s: float = ...) -> Ended: ...

    def kill(self) -> Ended: ...


class ProcessSeat:
    """One process as an actor. `start` is given the name and the process's end of the socket; `home` holds its files.

    `open_sessions` tells which of some sessions the server has not ended yet.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[int], Process],
        *,
        home: Path,
        open_sessions: Callable[[Sequence[int]], Sequence[int]],
    ) -> None:
        self._name, self._start, self._home, self._open_sessions = name, start, home, open_sessions
        self._ordinals = Ordinals(name)
        self._channel: socket.socket | None = None
        self._process: Process | None = None
        self._pids: set[int] = set()
        self._next_pid: int | None = None
        self._busy_pid: int | None = None
        self._report: Report | None = None
        self.ended: Ended | None = None
        """How the process ended, once it has."""

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._name

    @property
    def backend_pid(self) -> int | None:
        """The server's process that works for the step in progress."""
        return self._busy_pid

    @property
    def sessions(self) -> frozenset[int]:
        """The server's processes that worked for it so far."""
        return frozenset(self._pids)

    def owns(self, backend_pid: int) -> bool:
        """Whether that process of the server works, or worked last, for this actor."""
        return backend_pid in self._pids

    def open(self) -> Report:
        """Where the process stands before its first step. Raises: `SimError` (`schedule/no_gate`)."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ours
        try:
            self._process = self._start(theirs.fileno())
        finally:
            theirs.close()
        report = self.settle(MAX_START_S)
        if report is None:
            raise SimError("schedule/no_gate", f"{self._name} made no step within {MAX_START_S} s of its start")
        return report

    def proceed(self, verdict: Verdict) -> None:
        """Effects: the process makes its step; or it is killed before it, and its sessions have ended."""
        self._report, self._busy_pid = None, self._next_pid
        if verdict is Verdict.KILL:
            self._kill()
        else:
            self._socket.send(verdict.value.encode())

    def settle(self, timeout_s: float) -> Report | None:
        """The report after the step, or None while the process has not come to its next one within `timeout_s`."""
        if self._report is None:
            # Its own code runs between two steps: who asks the server earlier asks in vain, at every step.
            if not select.select([self._socket], [], [], max(timeout_s, PATIENCE_S))[0]:
                return None
            said = self._socket.recv(MAX_MESSAGE_BYTES)
            self._busy_pid = None
            self._report = self._read(json.loads(said)) if said else self._end()
        return self._report

    def abandon(self, timeout_s: float) -> bool:
        """Whether process and sessions are gone; see `Seat`. Effects: the process is killed."""
        if self._process is not None and self.ended is None:
            self.ended = self._process.kill()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        return self._have_left(timeout_s)

    @property
    def _socket(self) -> socket.socket:
        if self._channel is None:
            raise RuntimeError(f"{self._name} was not opened")
        return self._channel

    def _kill(self) -> None:
        if self._process is None:
            raise RuntimeError(f"{self._name} was not opened")
        self.ended = self._process.kill()
        if self.ended.exit_code != -signal.SIGKILL:
            raise SimError(
                "schedule/not_killed", f"{self._name} was to be killed and ended with {self.ended.exit_code} before"
            )
        if not self._have_left(MAX_LEAVE_S):
            raise SimError(
                "schedule/session_stays", f"{MAX_LEAVE_S} s after {self._name} was killed its session is open"
            )
        self._busy_pid = None
        self._report = Report(outcome=unknown())

    def _have_left(self, timeout_s: float) -> bool:
        started = now_s()
        while self._pids and self._open_sessions(sorted(self._pids)):
            if now_s() - started > timeout_s:
                return False
        return True

    def _end(self) -> Report:
        if self._process is None:
            raise RuntimeError(f"{self._name} was not opened")
        self.ended = ended = self._process.wait()
        self._have_left(MAX_LEAVE_S)
        done = Done(effect=Effect.NONE)
        if ended.exit_code == 0:
            return Report(outcome=succeeded(ended), done=done)
        return Report(outcome=Outcome(kind=OutcomeKind.FAILED, value=ended, code=f"exit {ended.exit_code}"), done=done)

    def _read(self, told: dict[str, Any]) -> Report:
        self._next_pid = told["backend_pid"]
        if self._next_pid is not None:
            self._pids.add(self._next_pid)
        return Report(
            next=self._ordinals.next(told["verb"], told["target"]),
            done=None if told["done"] is None else _done(told["done"]),
            effect=Effect(told["effect"]),
            isolation=Isolation(told.get("isolation", Isolation.READ_COMMITTED)),
            is_blind=told.get("is_blind", False),
            ends_transaction=told.get("ends_transaction", False),
            changes_schema=told.get("changes_schema", False),
            need=None if told["need"] is None else self._need(told["need"]),
            path=told.get("path"),
        )

    def _need(self, name: str) -> Need:
        path = self._home / name
        return Need(what=name, is_met=lambda: _is_free(path), held_by=lambda: None)


def _done(told: dict[str, Any]) -> Done:
    return Done(
        effect=Effect(told["effect"]),
        result=bytes.fromhex(told["result"]),
        in_transaction=told["in_transaction"],
        isolation=Isolation(told["isolation"]),
        saw_files=told["saw_files"],
        keeps_locks=told["keeps_locks"],
        locks_session=told["locks_session"],
    )


def _is_free(path: Path) -> bool:
    """Whether nobody holds the file's lock."""
    try:
        probe = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(probe)
    return True
