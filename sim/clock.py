"""Virtual time: one clock for Postgres, for this process and for any process that follows the clock file.

    clock = VirtualClock(lease.address, clock_file=path)
    clock.freeze_at("2026-05-12T09:00:00Z")
    clock.advance(minutes(14))
    clock.close()

In the database every connection sees the clock through schema `simclock`; a transaction that is open while time moves
keeps its own now(), exactly as Postgres promises. In this process freezegun is entered once and then moved, which is
a thousand times cheaper than entering it anew. Only civil time is virtual: `monotonic` and `perf_counter` stay real,
here as in the children, so that whatever waits for elapsed time still ends while the clock stands.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, Self

import freezegun
import psycopg
from freezegun import api

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress

# Their civil time stays real: some reckon with it when a timeout comes due. All are leaves: whatever one of them called
# back within five frames would see real time as well.
STAYS_REAL = (
    "psycopg",
    "psycopg_pool",
    "sqlalchemy",
    "testcontainers",
    "docker",
    "urllib3",
    "psutil",
    "subprocess",
    "execnet",
    "pytest_timeout",
    "_pytest.timing",
    "sim.postgres",
    "sim.clock",
    "sim.stack.child",
)

_ELAPSED = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")

_EPOCH = api.real_datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_LEAD_S = 0.001
_MAX_LEAD_S = 0.064

# A first move counts for all of time. A later one lies a little ahead, so that it is committed before its moment comes:
# a transaction that begins after that moment sees it from its first statement on, an earlier one never.
_MOVE: LiteralString = """
INSERT INTO simclock.moves (real_at, virtual_at, running)
SELECT CASE WHEN %(running)s OR EXISTS (SELECT FROM simclock.moves)
            THEN pg_catalog.clock_timestamp() + make_interval(secs => %(lead_s)s) ELSE '-infinity' END,
       %(virtual_at)s, %(running)s
RETURNING CASE WHEN isfinite(real_at) THEN real_at END
"""


def microseconds(count: int) -> timedelta:
    """So many microseconds."""
    return timedelta(microseconds=count)


def seconds(count: float) -> timedelta:
    """So many seconds."""
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=count)


def real_now() -> datetime:
    """The real time in UTC, whatever the virtual clock says."""
    return _EPOCH + timedelta(microseconds=api.real_time_ns() // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """Virtual time as a function of real time: still at `virtual_at`, or running from there since `real_at`."""

    virtual_at: datetime
    real_at: datetime
    running: bool

    def now(self) -> datetime:
        """Virtual time at this moment."""
        return self.virtual_at + (real_now() - self.real_at) if self.running else self.virtual_at

    def to_json(self) -> str:
        """One JSON object: `{"virtual_at": iso, "real_at": iso, "running": bool}`."""
        return json.dumps({"virtual_at": _iso(self.virtual_at), "real_at": _iso(self.real_at), "running": self.running})

    @staticmethod
    def from_json(text: str) -> "ClockReading":
        """The reading that `to_json` wrote.

        Raises: `SimError` (`clock/malformed_file`).
        """
        try:
            found = json.loads(text)
            return ClockReading(
                virtual_at=moment(str(found["virtual_at"])),
                real_at=moment(str(found["real_at"])),
                running=bool(found["running"]),
            )
        except (KeyError, TypeError, ValueError, SimError) as error:
            raise SimError("clock/malformed_file", f"expected the object that a clock file holds: {error}") from error


class VirtualClock:
    """The clock of one scenario. Until the first move it shows real time everywhere.

    `clock_file` is rewritten, by an atomic rename, at every move. `connection` is an autocommit connection to use
    instead of one of its own. With `freeze_process` false this process keeps real time.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        clock_file: Path | None = None,
        connection: psycopg.Connection | None = None,
        freeze_process: bool = True,
    ) -> None:
        self._address = address
        self._file = clock_file
        self._given = connection
        self._own: psycopg.Connection | None = None
        self._freeze_process = freeze_process
        self._frozen: Any = None
        self._reading: ClockReading | None = None
        self._lead_s = _FIRST_LEAD_S

    def now(self) -> datetime:
        """Virtual time in UTC."""
        return real_now() if self._reading is None else self._reading.now()

    @property
    def reading(self) -> ClockReading | None:
        """What the clock was last set to, or None while it shows real time."""
        return self._reading

    def put_back(self, reading: ClockReading | None) -> None:
        """Effects: this process shows that reading again; the database's moves are put back by whoever kept them."""
        if reading != self._reading:
            self._reading = reading
            if self._file is not None and reading is not None:
                _replace(self._file, reading.to_json())

    def freeze_at(self, at: str | datetime) -> None:
        """Effects: time stands still at `at`, an ISO 8601 text or a `datetime`, either with its zone.

        Raises: `SimError` (`clock/no_zone`, `clock/malformed_time`).
        """
        self._move(moment(at), running=False)

    def freeze(self) -> None:
        """Effects: time stands still where it is."""
        self._move(self.now(), running=False)

    def run(self) -> None:
        """Effects: time runs on from where it is, as fast as real time does."""
        self._move(self.now(), running=True)

    def advance(self, by: timedelta) -> None:
        """Effects: time is later by `by`, or earlier if it is negative; it stands or runs as before."""
        running = self._reading is None or self._reading.running
        self._move(self.now() + by, running=running)

    def close(self) -> None:
        """Effects: this process shows real time again and the clock's own connection is closed; rows stay."""
        if self._frozen is not None:
            self._frozen.stop()
            self._frozen = None
        if self._own is not None:
            self._own.close()
            self._own = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _move(self, virtual_at: datetime, *, running: bool) -> None:
        real_at = self._tell_database(virtual_at, running=running)
        self._reading = ClockReading(virtual_at=virtual_at, real_at=real_at or real_now(), running=running)
        if self._file is not None:
            _replace(self._file, self._reading.to_json())
        if self._freeze_process and self._frozen is None:
            self._frozen = _enter_freezegun(_Follows(self.now))

    def _tell_database(self, virtual_at: datetime, *, running: bool) -> datetime | None:
        """The real moment of the move, or None for a first one. Returns when that moment has passed."""
        connection = self._connection()
        parameters = {"virtual_at": virtual_at, "running": running, "lead_s": self._lead_s}
        row = connection.execute(_MOVE, parameters).fetchone()
        real_at: datetime | None = row[0] if row else None
        if real_at is None:
            return None
        row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        ahead_s = (real_at - row[0]).total_seconds() if row else 0.0
        if ahead_s <= 0:
            # Committed after its moment: a transaction begun just then may have seen time jump.
            self._lead_s = min(self._lead_s * 2, _MAX_LEAD_S)
        else:
            time.sleep(ahead_s)
        return real_at

    def _connection(self) -> psycopg.Connection:
        if self._given is not None and not self._given.closed:
            return self._given
        if self._own is None or self._own.closed:
            self._own = psycopg.connect(self._address.conninfo(), autocommit=True, application_name="sim-clock")
        return self._own


def read_clock_file(path: Path) -> ClockReading | None:
    """What the clock file says, or None while there is none and time is real.

    Raises: `SimError` (`clock/malformed_file`).
    """
    try:
        return ClockReading.from_json(path.read_text())
    except FileNotFoundError:
        return None


@contextmanager
def follow_clock_file(path: Path) -> Iterator[None]:
    """Effects: inside, this process shows the time that the clock file tells, move by move, without a database."""
    frozen = _enter_freezegun(_Follows(_FileClock(path).now))
    try:
        yield
    finally:
        frozen.stop()


@contextmanager
def patched_process() -> Iterator[None]:
    """Effects: inside, this process's civil time is patched all along, and shows real time wherever no clock rules.

    Patching looks at every attribute of every module; a clock that finds it done takes over and gives back in no time.
    """
    frozen = _enter_freezegun(_Follows(real_now))
    try:
        yield
    finally:
        frozen.stop()


def moment(at: str | datetime) -> datetime:
    """The instant in UTC that a text or a `datetime` names.

    Raises: `SimError` (`clock/malformed_time`, `clock/no_zone`).
    """
    try:
        parsed = api.real_datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError as error:
        raise SimError("clock/malformed_time", f"expected a time such as 2026-05-12T09:00:00Z, found {at!r}") from error
    if parsed.tzinfo is None:
        raise SimError("clock/no_zone", f"expected a time with its zone, such as 2026-05-12T09:00:00Z, found {at}")
    return parsed.astimezone(UTC)


class _FileClock:
    """The clock file, read again only when another file has taken its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._reading: ClockReading | None = None

    def now(self) -> datetime:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return real_now()
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen:
            self._reading = read_clock_file(self._path)
            self._seen = seen
        return real_now() if self._reading is None else self._reading.now()


class _Follows(api.FrozenDateTimeFactory):
    """Asks somebody else for the time, wherever freezegun would tell a fixed one."""

    def __init__(self, now: Any) -> None:
        super().__init__(api.real_datetime(1970, 1, 1))
        self._now = now

    def __call__(self) -> datetime:
        told: datetime = self._now()
        return told.replace(tzinfo=None)


def _enter_freezegun(factory: _Follows) -> Any:
    frozen = freezegun.freeze_time(ignore=list(STAYS_REAL))
    with _elapsed_time_stays():
        frozen.start()
    # freezegun asks the newest of its factories; ours takes the place of the fixed one it has just made.
    api.freeze_factories[-1] = factory
    return frozen


@contextmanager
def _elapsed_time_stays() -> Iterator[None]:
    """Effects: inside, freezegun puts the real functions where it would put its own.

    Afterwards it is as it was, for somebody else who freezes time in this process.
    """
    fakes = {f"fake_{name}": getattr(api, f"fake_{name}") for name in _ELAPSED}
    for name in _ELAPSED:
        setattr(api, f"fake_{name}", getattr(api, f"real_{name}"))
    try:
        yield
    finally:
        for name, fake in fakes.items():
            setattr(api, name, fake)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _replace(path: Path, text: str) -> None:
    """Effects: `path` holds `text`; a reader sees the old content or the new."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    scratch.write_text(text + "\n")
    scratch.replace(path)
