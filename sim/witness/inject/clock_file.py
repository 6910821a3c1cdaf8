"""Virtual time inside a child process, read from the file that `SIM_CLOCK_FILE` names.

The file holds `{"virtual_at": …, "real_at": …, "running": …}` (ISO-8601) and is replaced by rename when time is moved.
Civil time (`time.time`, `datetime.now`, …) follows it. Elapsed time does not: a bounded wait must still end while the
clock is frozen, so `monotonic` and `perf_counter` stay real.
"""

import json
import os
import warnings
from datetime import datetime, timedelta, timezone
from typing import Any

import freezegun.api as _freezegun

# Connection time-outs are measured by these packages; a frozen clock would break them. Source: design §5.
REAL_TIME_PACKAGES = ["psycopg", "psycopg_pool", "sqlalchemy", "testcontainers", "docker", "urllib3"]

_Stamp = tuple[int, int, int]

_patching: Any = None


class ClockFileError(ValueError):
    """The clock file is missing or not what the director writes."""


class FileClock:
    """Virtual time in UTC, without zone as freezegun wants it; sees a moved clock at the next call."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._virtual_at = datetime.min  # noqa: DTZ901 - freezegun counts in naive UTC
        self._real_at = 0.0
        self._running = False
        self()

    def __call__(self) -> datetime:
        """The virtual time now.

        Raises: ClockFileError if the file is gone or cannot be understood.
        """
        try:
            status = os.stat(self._path)
        except OSError as problem:
            raise ClockFileError(f"clock file {self._path} cannot be read: {problem.strerror}") from problem
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._read()
            self._stamp = stamp
        if not self._running:
            return self._virtual_at
        return self._virtual_at + timedelta(seconds=_freezegun.real_time() - self._real_at)

    def _read(self) -> None:
        try:
            with open(self._path, encoding="utf-8") as stream:
                content = json.load(stream)
            virtual_at = _utc(content["virtual_at"])
            real_at = _utc(content["real_at"])
            running = content["running"]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            expected = '{"virtual_at": ISO-8601, "real_at": ISO-8601, "running": true or false}'
            raise ClockFileError(f"clock file {self._path} must hold {expected}: {problem}") from problem
        self._virtual_at = virtual_at.replace(tzinfo=None)
        self._real_at = real_at.timestamp()
        self._running = bool(running)

    def tick(self, delta: object = None) -> datetime:
        """Refused: a child does not move the director's clock. Part of freezegun's factory protocol.

        Raises: ClockFileError always.
        """
        raise ClockFileError("virtual time is moved by the director, through the clock file only")

    move_to = tick


class RealClock:
    """The real time in UTC, without zone: what a warm process shows until a child of it follows a file."""

    def __call__(self) -> datetime:
        """The real time now."""
        return _freezegun.real_datetime.fromtimestamp(_freezegun.real_time(), timezone.utc).replace(tzinfo=None)  # noqa: UP017

    def tick(self, delta: object = None) -> datetime:
        """Refused, as `FileClock.tick` is.

        Raises: ClockFileError always.
        """
        raise ClockFileError("a warm process has no virtual time to move")

    move_to = tick


def prepare() -> None:
    """Effects: civil time is patched and still shows real time; `install` in a fork then only names the file.

    Patching looks at every attribute of every module, half of what a fork of a warm worker would otherwise cost.
    """
    if _ours() is None:
        _patch(RealClock())


def install(path: str) -> FileClock:
    """The clock now in force in this process; calling it again only changes the file that is followed.

    Raises: ClockFileError if the file is gone or cannot be understood.
    """
    clock = FileClock(path)
    if _ours() is None:
        _patch(clock)
    else:
        _freezegun.freeze_factories[-1] = clock  # type: ignore[call-overload]
    return clock


def step_back() -> None:
    """Effects: what `prepare` patched is as it was."""
    global _patching
    if _patching is not None:
        _patching.stop()
        _patching = None


def _ours() -> "FileClock | RealClock | None":
    newest: object = _freezegun.freeze_factories[-1] if _freezegun.freeze_factories else None
    return newest if isinstance(newest, (FileClock, RealClock)) else None


def _patch(clock: "FileClock | RealClock") -> None:
    global _patching
    for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        setattr(_freezegun, f"fake_{name}", getattr(_freezegun, f"real_{name}"))
    # Extension modules imported later find freezegun's subclass in place of `datetime`: larger, and no harm.
    warnings.filterwarnings("ignore", message=r"datetime\.\w+ size changed", category=RuntimeWarning)
    _patching = _freezegun.freeze_time("1970-01-01", ignore=REAL_TIME_PACKAGES)
    _patching.start()
    # freezegun has no public way to bring a factory of one's own; the list is what it reads at each call.
    _freezegun.freeze_factories[-1] = clock  # type: ignore[call-overload]


def _utc(text: str) -> datetime:
    """The moment that ISO-8601 `text` names; the real classes, whatever freezegun has put in place."""
    moment = _freezegun.real_datetime.fromisoformat(text)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)  # noqa: UP017
