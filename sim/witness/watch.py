"""A continuous watch over a folder which time-stamps what happens, and says which process did it where it may.

Linux only: fanotify on the whole file system where CAP_SYS_ADMIN is held (it names the process, and sees a write
through a hard link from outside), inotify elsewhere. Where there is neither, the watch says so and sees nothing; the
stat snapshot still does. One reader thread sleeps in `poll`; nothing is polled for.
"""

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sim.errors import SimError
from sim.witness.timestamp_grain import real_now_ns
from sim.witness.watch_event import Counted, Source, WatchEvent, WatchKind

# After the first event of a burst the reader waits this long before it reads, so that it is woken once for many
# events and the watched process is not slowed by it; also the precision of an event's time.
_GATHER_S = 0.005
_STOP_TIMEOUT_S = 5.0
# The kernel takes some 10 ms to dissolve a queue (it waits for every reader of its lists), and nothing is seen in them.
# The reader's thread sits that out, after the last look. One at a time: kernel queues are counted per user.
_dissolving: list[threading.Thread] = []
_dissolving_lock = threading.Lock()
_MAX_EVENTS = 1_000_000  # a runaway writer, beyond what anyone would read


class Watch:
    """An open watch. Its own thread reads; `drain` reads too, so nothing that happened before it can be missed."""

    def __init__(self, source: Source | None, reason: str) -> None:
        self.kind = source.kind if source is not None else WatchKind.NONE
        self.reason = reason
        self._source = source
        self._counted: Counted = {}
        self._failure: SimError | None = None
        self._reading = threading.Lock()
        self._stop_reader, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sim-watch", daemon=True)
        if source is not None:
            self._thread.start()

    def drain(self) -> tuple[WatchEvent, ...]:
        """What happened since the last call, by the time it first happened.

        Raises: SimError `witness/watch_overflow` if the kernel or this process had to drop events,
        `witness/watch_failed` if it could not go on (a new folder that it may not watch).
        """
        self._pump()
        with self._reading:
            counted, self._counted = self._counted, {}
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return tuple(event if times == 1 else replace(event, times=times) for event, times in counted.values())

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Inside the block nothing is seen; what happened before it is still told. Nobody else may act meanwhile."""
        self._pump()
        with self._reading:
            before = dict(self._counted)
        yield
        self._pump()
        with self._reading:
            self._counted = before

    def close(self) -> None:
        """The watch is over; a second call does nothing.

        Effects: the reader's thread stops, gives the queue back to the kernel, and ends by itself.

        Raises: SimError `witness/watch_stuck` if the reader of the watch closed before this one did not end within 5 s.
        """
        if self._stop < 0:
            return
        os.write(self._stop, b"x")  # not just closed: a forked process may hold the other end open
        os.close(self._stop)
        self._stop = -1
        if self._source is None:
            os.close(self._stop_reader)
        else:
            _dissolve_next(self._thread)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        assert self._source is not None
        try:
            self._read_until_stopped(self._source)
        finally:
            self._source.close()
            os.close(self._stop_reader)

    def _read_until_stopped(self, source: Source) -> None:
        waiting = select.poll()
        waiting.register(source.fileno(), select.POLLIN)
        waiting.register(self._stop_reader, select.POLLIN)
        pausing = select.poll()
        pausing.register(self._stop_reader, select.POLLIN)
        while True:  # until `close` writes to the pipe; each turn sleeps in the kernel
            ready = dict(waiting.poll())
            if self._stop_reader in ready or pausing.poll(_GATHER_S * 1000):
                return
            self._pump()

    def _pump(self) -> None:
        if self._source is None:
            return
        with self._reading:
            try:
                self._source.read(real_now_ns(), self._counted)
            except SimError as failure:
                self._failure = failure  # kept for `drain`: an exception in the reader's thread would be lost
                return
            except OSError as problem:
                message = f"{self.kind} stopped: {problem}; what happened since is unknown"
                self._failure = SimError("witness/watch_failed", message)
                return
            if len(self._counted) > _MAX_EVENTS:
                message = f"over {_MAX_EVENTS} different file events since the last look; something writes without end"
                self._failure = SimError("witness/watch_overflow", message)
                self._counted = {}


def open_watch(root: Path, only: WatchKind | None = None) -> Watch:
    """The best watch over `root` that this machine allows; `kind` and `reason` say which, and why no better one.

    Effects: a kernel queue, one thread, a pipe. `only` asks for one kind, for tests and comparisons.

    Raises: SimError `witness/no_home` if `root` is no folder.
    """
    if not root.is_dir():
        raise SimError("witness/no_home", f"expected a folder to watch at {root}")
    if sys.platform != "linux":
        return Watch(None, f"{sys.platform} has neither fanotify nor inotify: snapshots only, no times, no processes")
    refusals = []
    for kind, opener in _openers().items():
        if only is not None and kind is not only:
            continue
        try:
            source = opener(root.resolve())
        except (OSError, ImportError) as problem:
            refusals.append(f"{kind}: {problem}")
        else:
            return Watch(source, "; ".join(refusals) or f"{kind} is available")
    return Watch(None, "; ".join(refusals) or "no watch was asked for")


def _dissolve_next(reader: threading.Thread) -> None:
    """Effects: `reader` is the only one that may still be giving its queue back.

    Raises: SimError `witness/watch_stuck` if the one before it does not end within 5 s.
    """
    with _dissolving_lock:
        while _dissolving:  # at most one
            _dissolving[-1].join(_STOP_TIMEOUT_S)
            if _dissolving[-1].is_alive():
                raise SimError(
                    "witness/watch_stuck", f"the reader of a closed watch still runs after {_STOP_TIMEOUT_S} s"
                )
            _dissolving.pop()
        _dissolving.append(reader)


def _openers() -> Mapping[WatchKind, Callable[[Path], Source]]:
    if sys.platform != "linux":
        return {}
    from sim.witness.watch_fanotify import FanotifySource
    from sim.witness.watch_inotify import InotifySource

    openers: dict[WatchKind, Callable[[Path], Source]] = {WatchKind.FANOTIFY: FanotifySource}
    openers[WatchKind.INOTIFY] = InotifySource
    return openers
