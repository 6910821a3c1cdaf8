"""What our own process did, by its own account: a `sys.addaudithook` that names actor, file and source line.

The hook cannot be removed from a process once added, so it is added once and does nothing but one comparison while
nobody listens. Listeners belong to the process and not to a context, because a thread started by the code under watch
has a context of its own. Who acts is a context variable, and where it was never set, whoever started the thread. What
a thread of the bare `_thread` module does is put down to the scenario, but its start is an event of who started it.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from sim.errors import SimError
from sim.witness.inject import events
from sim.witness.timestamp_grain import real_now_ns

#: Who acts where nobody said so: the scenario itself.
DEFAULT_ACTOR = "scenario"

_MAX_LOG_BYTES = 256 * 1024 * 1024  # a log beyond this is a runaway child, not evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing a process said it was about to do; whether it succeeded is not known.

    `what` is `file.…`, `network.…`, `process.start`, `process.fork`, `thread.start`, `sensor.installed`,
    `landlock.restricted`, or of a bot `services.watched` and `service.…`; `path` and `to` are absolute.
    `at_ns` is real time in nanoseconds since 1970, `virtual_at` the child's virtual time where it had one.
    """

    at_ns: int
    pid: int
    actor: str
    what: str
    path: str | None = None
    to: str | None = None
    source: str | None = None
    virtual_at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


Sink = Callable[[AuditEvent], None]

_actor: ContextVar[str | None] = ContextVar("sim_witness_actor", default=None)
_started_by: WeakKeyDictionary[threading.Thread, str] = WeakKeyDictionary()
_decoder = msgspec.json.Decoder()
_sinks: tuple[Sink, ...] = ()
_hook_added = False
_inside = threading.local()
_lock = threading.Lock()


def current_actor() -> str:
    """Who acts in this context, or had this thread started."""
    return _actor.get() or _started_by.get(threading.current_thread(), DEFAULT_ACTOR)


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Within the block, what this context does is put down to `actor`."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Within the block, every audit event of this process that matters goes to `sink`.

    Effects: adds the hook at the first use. An exception from `sink` surfaces in the code under watch.
    """
    global _sinks
    _add_hook()
    with _lock:
        _sinks = (*_sinks, sink)
    try:
        yield
    finally:
        with _lock:
            _sinks = tuple(other for other in _sinks if other is not sink)


def read_log(path: Path, offset: int = 0) -> tuple[tuple[AuditEvent, ...], int]:
    """The events that children wrote to `path` (`SIM_WITNESS_LOG`) from `offset` on, and the offset after them.

    A last line without its end belongs to a process that was killed while writing it, and waits for the next call.

    Raises: SimError `witness/log_damaged` for a line that is no event, `witness/log_too_long` beyond 256 MiB.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            content = stream.read(_MAX_LOG_BYTES + 1)
    except FileNotFoundError:
        return (), offset
    if len(content) > _MAX_LOG_BYTES:
        raise SimError("witness/log_too_long", f"{path} holds over {_MAX_LOG_BYTES} new bytes; read it more often")
    end = content.rfind(b"\n") + 1
    try:
        return tuple(map(_event, _decoder.decode_lines(content[:end]))), offset + end
    except (msgspec.DecodeError, ValueError, KeyError, AttributeError, TypeError) as problem:
        message = f"{path} holds a line that is no audit event ({problem}); only the child's hook may write there"
        raise SimError("witness/log_damaged", message) from problem


def _event(fields: dict[str, Any]) -> AuditEvent:
    virtual_at = fields.pop("virtual_at", None)
    return AuditEvent(
        at_ns=fields.pop("at_ns"),
        pid=fields.pop("pid"),
        actor=fields.pop("actor"),
        what=fields.pop("what"),
        path=fields.pop("path", None),
        to=fields.pop("to", None),
        source=fields.pop("source", None),
        virtual_at=None if virtual_at is None else datetime.fromisoformat(virtual_at),
        detail=fields,
    )


def _add_hook() -> None:
    global _hook_added
    with _lock:
        if not _hook_added:
            events.announce_thread_starts()
            sys.addaudithook(_hook)
            _hook_added = True


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _sinks or event not in events.WATCHED or getattr(_inside, "now", False):
        return
    _inside.now = True
    try:
        if event in events.THREAD_STARTS:
            _inherit(events.thread_of(args))
        found = events.describe(event, args)
        if found is not None:
            _deliver(found, events.source_line(sys._getframe(1)))
    finally:
        _inside.now = False


def _inherit(thread: threading.Thread | None) -> None:
    """Effects: what `thread` will do is put down to who acts now, also once their block is over."""
    actor = current_actor()
    if thread is not None and actor != DEFAULT_ACTOR:
        _started_by[thread] = actor


def _deliver(found: dict[str, Any], source: str | None) -> None:
    event = AuditEvent(
        at_ns=real_now_ns(),
        pid=os.getpid(),
        actor=current_actor(),
        what=found.pop("what"),
        path=found.pop("path", None),
        to=found.pop("to", None),
        source=source,
        detail=found,
    )
    for sink in _sinks:
        sink(event)
