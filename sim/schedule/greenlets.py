"""Fast mode: an actor is a greenlet of this thread. Its code runs unchanged; what it calls parks it at the gate.

`current()` is the actor whose code is running, or None for the story and the hub: hooks ask it and stay out of the way
of everybody else.
"""

import contextvars
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

import greenlet

from sim.errors import SimError
from sim.schedule.gate import Done, Effect, Report, Verdict
from sim.schedule.outcome import Outcome, raised, succeeded, unknown
from sim.schedule.step import Ordinals
from sim.witness.audit import acting_as

PATIENCE_S = 0.00015
"""How long a statement may take before the server is asked whether it waits; most have answered by then."""


class ActorGone(BaseException):
    """Raised inside an actor that was abandoned, so that its code ends. No `except Exception` catches it."""


class GreenletSeat:
    """One actor: a call that is run in a greenlet of its own."""

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        arguments: tuple[Any, ...] = (),
        named: Mapping[str, Any] | None = None,
        *,
        acting: str | None = None,
        never_waits: bool = False,
    ) -> None:
        self.name = name
        self._call, self._arguments, self.named = call, arguments, dict(named or {})
        self._acting = acting
        self._ordinals = Ordinals(name)
        self._greenlet = greenlet.greenlet(self._run)
        self._greenlet.gr_context = contextvars.copy_context()
        self._hub: Any = None
        self._thread = threading.get_ident()
        self._report: Report | None = None
        self._done: Done | None = None
        self._busy_on: int | None = None
        self._connections: list[Any] = []
        self.backend_pid: int | None = None
        """The server's process that works for the step in progress."""
        self._ended = False
        self._is_in_doubt = False
        self.never_waits = never_waits
        """No step of it can wait for a lock, nor others for one of its locks: a move of the clock."""
        self.is_abandoned = False
        self.is_undirected = False
        self.is_dead = False
        """Killed: its code is never run again, not even to clean up."""
        self.label: str | None = None
        """What the next steps are called instead of by their verb and table; for steps that have names of their own."""
        self.draws = 0
        """Random bytes drawn so far, by which the next ones are told."""

    # As the hub sees it.

    def owns(self, backend_pid: int) -> bool:
        """Whether that process of the server works, or worked last, for this actor."""
        mine = (one for one in self._connections if one.owner is self and not one.closed)
        return any(one.pgconn.backend_pid == backend_pid for one in mine)

    def open(self) -> Report:
        """Where the actor stands before its first step.

        Raises: `SimError` (`schedule/no_gate`) when it waits for something before.
        """
        self._hub = self._greenlet.parent = greenlet.getcurrent()
        _seats[self._greenlet] = self
        self._greenlet.switch()
        if self._report is None:
            raise SimError("schedule/no_gate", f"{self.name} waits for a server outside every step")
        return self._report

    def proceed(self, verdict: Verdict) -> None:
        """Effects: the actor makes its step, or as much of it as it can without waiting; or it is killed before it."""
        self._report = None
        if verdict is Verdict.KILL:
            self._kill()
        else:
            self._greenlet.switch(verdict)

    def settle(self, timeout_s: float) -> Report | None:
        """The report after the step, or None while the server has not answered within `timeout_s`."""
        while self._report is None:
            if self._busy_on is None or not select.select([self._busy_on], [], [], timeout_s)[0]:
                return None
            self._greenlet.switch(True)
        return self._report

    def abandon(self, timeout_s: float) -> bool:
        """Whether the actor is gone; see `Seat`. Effects: its code ends where it stands."""
        self.is_abandoned = True
        if self._ended or self.is_dead or self._hub is None:
            return True
        if self._report is None and self._busy_on is not None:
            if not select.select([self._busy_on], [], [], timeout_s)[0]:
                return False
            self._greenlet.switch(True)
            if self._busy_on is not None:
                return False
        if not self._ended:
            self._greenlet.throw(ActorGone())
        for connection in self._connections:
            if connection.owner is self and not connection.closed:
                connection.roll_back()
        return self._ended

    def _kill(self) -> None:
        """Effects: the actor is as good as a dead process: its sockets are closed, its code never runs again."""
        self.is_dead = True
        for connection in self._connections:
            if connection.owner is self and not connection.closed:
                connection.hang_up()
        self._report = Report(outcome=unknown(), done=self._done)

    # As the actor's own code sees it, through the hooks.

    def park(self, verb: str, target: str, effect: Effect, **told: Any) -> Verdict:
        """What the hub says once this step's turn has come. Raises: `ActorGone`."""
        if self.is_abandoned:
            return Verdict.GO
        if threading.get_ident() != self._thread:
            self._refuse_thread(verb, target)
        if self.label is not None:
            verb, target = self.label, ""
        done, self._done = self._done, None
        self._report = Report(next=self._ordinals.next(verb, target), done=done, effect=effect, **told)
        verdict: Verdict = self._hub.switch()
        # Whoever loses its connection while it commits cannot know whether it has.
        self._is_in_doubt |= effect is Effect.COMMIT and verdict in (Verdict.CUT, Verdict.DROP_REPLY)
        return verdict

    def did(self, done: Done) -> None:
        """Effects: the step that was let through is over, and this came of it."""
        self._done = done

    def looks_at_files(self) -> None:
        """Effects: what the files say now is part of what the actor learnt since its last step."""
        if self._done is not None:
            self._done.saw_files = True

    def uses(self, connection: Any) -> None:
        """Effects: the connection is known as the actor's; a killed actor's connections are cut."""
        if connection.owner is not self:
            connection.owner = self
            self._connections.append(connection)

    def wait_for(self, descriptor: int, pid: int, *, writable: bool) -> None:
        """Effects: returns when the server has said something (or can be told more, if `writable`)."""
        writers = [descriptor] if writable else []
        readable, can_write, _ = select.select([descriptor], writers, [], PATIENCE_S)
        while not readable and not can_write:
            self._busy_on, self.backend_pid = descriptor, pid
            readable = self._hub.switch()
        self._busy_on = self.backend_pid = None

    def _refuse_thread(self, verb: str, target: str) -> NoReturn:
        raise SimError(
            "schedule/foreign_thread",
            f"{self.name} came to {verb} {target} in a thread of its own; one thread of an actor can be directed, so "
            "let the actor do it itself or make the second thread an actor",
        )

    def _run(self, *_: object) -> None:
        try:
            outcome = self._outcome()
        finally:
            self._ended = True
            _seats.pop(self._greenlet, None)
        self._report = Report(outcome=outcome, done=self._done)

    def _outcome(self) -> Outcome:
        value = None
        with _End() as end, acting_as(self._acting or self.name):
            value = self._call(*self._arguments, **self.named)
        if end.error is None:
            return succeeded(value)
        is_unknown = self._is_in_doubt or isinstance(end.error, ActorGone)
        return unknown(end.error) if is_unknown else raised(end.error)


class _End:
    """The end of an actor's code: what it raised is its outcome, but for what asks the whole run to stop."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, Exception | ActorGone | SystemExit)


_seats: dict[Any, Any] = {}

_MAX_CONTEXTS = 20
_OF_ITS_OWN = (Exception, ActorGone, SystemExit, GeneratorExit)


def _is_being_stopped() -> bool:
    """Whether code cleans up after what asks the whole run to stop, such as Ctrl-C or a time limit of pytest.

    That is nobody's step: an actor that was parked there would keep the request to itself.
    """
    error = sys.exc_info()[1]
    for _ in range(_MAX_CONTEXTS):
        if error is None:
            return False
        if not isinstance(error, _OF_ITS_OWN):
            return True
        error = error.__context__
    return False


def run_as(actor: Any) -> None:
    """Effects: all that this thread does is done by `actor`, which has what a seat has for the hooks."""
    _seats[greenlet.getcurrent()] = actor


def current() -> GreenletSeat | None:
    """The actor whose code is running, if what it does now are steps."""
    seat = _seats.get(greenlet.getcurrent()) if _seats else None
    return None if seat is None or seat.is_undirected or _is_being_stopped() else seat


@contextmanager
def undirected() -> Iterator[None]:
    """Within the block nothing that the current actor does is a step: it is the stage at work on its behalf."""
    seat = current()
    if seat is None:
        yield
        return
    seat.is_undirected = True
    try:
        yield
    finally:
        seat.is_undirected = False
