"""What an actor calls of the system, as steps: files below one folder, sleeps, HTTP, threads, random bytes.

What SQLAlchemy says to a connection that it has just made is none: see `_greeting`. The functions are replaced while a
race is played, and let everybody through who is no actor. No code under test knows of it. Calls into C that go round
the library are not seen.
"""

import hashlib
import http.client
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sim.errors import SimError
from sim.schedule.file_hooks import FileHooks
from sim.schedule.gate import Done, Effect
from sim.schedule.greenlets import current, undirected

_STORY = "story"


@contextmanager
def directed(home: Path | None = None, *, files: FileHooks | None = None) -> Iterator[None]:
    """Within the block the calls of actors are steps; `home` is the folder whose files count, `files` how they do."""
    with ExitStack() as undo:
        files = files if files is not None or home is None else FileHooks(home)
        if files is not None:
            for owner, name, replacement in files.replacements():
                _replace(undo, owner, name, replacement)
        _replace(undo, os, "urandom", _Random(os.urandom))
        _replace(undo, time, "sleep", _Sleep(time.sleep, files))
        _replace(undo, threading.Thread, "start", _refusing_threads(threading.Thread.start))
        _replace(undo, http.client.HTTPConnection, "putrequest", _asking(http.client.HTTPConnection.putrequest))
        engines = sys.modules.get("sqlalchemy.event.attr")
        if engines is not None:
            listeners, greet = engines._CompoundListener, "_exec_w_sync_on_first_run"
            _replace(undo, listeners, greet, _greeting(getattr(listeners, greet)))
        httpx = sys.modules.get("httpx")
        if httpx is not None:
            _replace(undo, httpx.HTTPTransport, "handle_request", _sending(httpx.HTTPTransport.handle_request))
        yield


@contextmanager
def made_as_step(verb: str, target: str, effect: Effect) -> Iterator[None]:
    """Within the block an actor makes one step of its own, once its turn has come; nothing for anybody else."""
    seat = current()
    if seat is None or seat.is_abandoned:
        yield
        return
    seat.park(verb, target, effect)
    try:
        yield
    except OSError as error:
        seat.did(Done(effect=effect, result=b"%d" % (error.errno or 0)))
        raise
    seat.did(Done(effect=effect))


def point(name: str) -> None:
    """Effects: in an actor, a step of that name which does nothing: others may move here."""
    with made_as_step("point", name, Effect.NONE):
        return


class _Random:
    """Random bytes that depend on who draws them, and on nothing that others do."""

    def __init__(self, real: Callable[[int], bytes]) -> None:
        self._real = real
        self._story_draws = 0

    def __call__(self, size: int, /) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            return self._real(size)
        seat = current()
        if seat is None:
            self._story_draws += 1
            return _bytes(_STORY, self._story_draws, size)
        seat.draws += 1
        return _bytes(seat.name, seat.draws, size)


class _Sleep:
    """A sleep takes no time. One that follows a lock that was not to be had lasts until it is free."""

    def __init__(self, real: Callable[[float], None], files: FileHooks | None) -> None:
        self._real = real
        self._files = files

    def __call__(self, duration_s: float, /) -> None:
        seat = current()
        if seat is None or seat.is_abandoned:
            self._real(duration_s)
            return
        need = None if self._files is None else self._files.need_of(seat)
        seat.park("sleep", "" if need is None else need.what, Effect.NONE if need is None else Effect.FILE, need=need)
        seat.did(Done(effect=Effect.NONE))


def _refusing_threads(real: Callable[..., None]) -> Callable[..., None]:
    def start(thread: threading.Thread) -> None:
        seat = current()
        if seat is not None and not seat.is_abandoned:
            raise SimError(
                "schedule/foreign_thread",
                f"{seat.name} starts a thread ({thread.name}); one thread of an actor can be directed, so let the "
                "actor do it itself, or make what the thread does an actor of its own",
            )
        real(thread)

    return start


def _asking(real: Callable[..., Any]) -> Callable[..., Any]:
    def putrequest(self: Any, method: str, url: str, *rest: Any, **named: Any) -> Any:
        with made_as_step(method.lower(), url.partition("?")[0], Effect.OTHER):
            return real(self, method, url, *rest, **named)

    return putrequest


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(self: Any, request: Any) -> Any:
        with made_as_step(str(request.method).lower(), str(request.url.path), Effect.OTHER):
            return real(self, request)

    return handle_request


def _greeting(real: Callable[..., None]) -> Callable[..., None]:
    """What an engine says to each new connection, undirected.

    The first time it holds a lock of the engine's meanwhile, which knows threads but no greenlets: an actor that was
    parked there would keep the whole process waiting as soon as another connects. And what is said the first time
    alone (the server's version, its default schema) would be steps in the first run that no later run has.
    """

    def greet(listeners: Any, *arguments: Any, **named: Any) -> None:
        with undirected():
            real(listeners, *arguments, **named)

    return greet


def _bytes(who: str, number: int, size: int) -> bytes:
    return hashlib.shake_256(f"{who} {number}".encode()).digest(size)


def _replace(undo: ExitStack, owner: Any, name: str, replacement: Any) -> None:
    undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, replacement)
