"""Makes the warm process warm: real commands of each family, run by it before it forks its first child."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg

from sim.clock import ClockReading, real_now
from sim.postgres.address import DatabaseAddress
from sim.postgres.leases import Lease
from sim.stack.click_witness import ClickWitness
from sim.stack.given import CAST, REFERENCE_PROFILE, seat_cast, write_profile
from sim.stack.home import make_home
from sim.stack.operator_actor import Operator
from sim.stack.zygote import Zygote
from sim.timeline import Timeline
from worker.db.session import open_engine, url_of

_BASELINE = {"BTC": "0.5"}


def warm_zygote(address: DatabaseAddress, folder: Path, *, virtual_time: bool = True) -> Zygote:
    """A zygote that has run two dry runs and a baseline, and a child of it one dry run more.

    Their home is below `folder` and gone afterwards, for nobody scrubs it; the database, empty before, holds their
    rows. `virtual_time` and Raises: as `Zygote`.
    """
    home = make_home(folder / "warm-up")
    with psycopg.connect(address.conninfo(), autocommit=True, application_name="sim-warm-up") as connection:
        seat_cast(connection)
        write_profile(connection, REFERENCE_PROFILE, created_by=CAST["day"][0])
    engine = open_engine(url_of(address), application_name="warm-up")
    timeline = Timeline()
    witness = ClickWitness(timeline=timeline)
    day = Operator(name="day", user_id=CAST["day"][0], engine=engine, timeline=timeline, witness=witness)
    day.apply_profile(REFERENCE_PROFILE)
    day.apply_profile(REFERENCE_PROFILE)
    day.apply_baseline(_BASELINE)
    day.apply_profile(REFERENCE_PROFILE)
    engine.dispose()
    environment = {"BOT_HOME": str(home), "BINANCE_TESTNET": "true", "WORKER_ID": "warm-up"}
    if virtual_time:
        clock_file = folder / "clock.json"
        clock_file.write_text(ClockReading(virtual_at=real_now(), real_at=real_now(), running=True).to_json())
        environment["SIM_CLOCK_FILE"] = str(clock_file)
    try:
        return Zygote(warm_up={**address.environment(), **environment}, virtual_time=virtual_time)
    finally:
        shutil.rmtree(home)


class LazyZygote:
    """A zygote that is made when it is first asked for: warmed on a lease, in a folder made for it."""

    def __init__(self, acquire: Callable[[], AbstractContextManager[Lease]], make_folder: Callable[[], Path]) -> None:
        self._acquire, self._make_folder = acquire, make_folder
        self._zygote: Zygote | None = None

    def get(self) -> Zygote:
        """The warm process."""
        if self._zygote is None:
            with self._acquire() as lease:
                self._zygote = warm_zygote(lease.address, self._make_folder())
        return self._zygote

    def close(self) -> None:
        """Effects: the process has ended, where it was ever started."""
        if self._zygote is not None:
            self._zygote.close()
