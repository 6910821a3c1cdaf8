"""An engine that is connected for the first time inside a race, by two actors: its own lock keeps nobody waiting."""

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, event, text

from sim.postgres.address import DatabaseAddress
from sim.schedule.connection import GateConnection
from sim.schedule.gate import Trace
from sim.schedule.greenlets import GreenletSeat
from sim.schedule.hooks import directed
from sim.schedule.hub import Hub, Moment
from sim.schedule.sessions import Sessions

HANGS_AFTER_S = 20.0
STEPS = {f"{actor}:{verb}" for actor in "ab" for verb in ("begin", "select", "commit")}


class Hung(Exception):
    """Raised inside an actor that waits for a lock of this process, which none but a parked actor could give back."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A test that hangs in a lock fails with a sentence."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise Hung(f"for {HANGS_AFTER_S} s an actor has waited for a lock that a parked actor holds")

    before = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(HANGS_AFTER_S, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    yield
    timer.cancel()
    timer.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def sessions(address: DatabaseAddress) -> Iterator[Sessions]:
    with Sessions(address, signals=True) as made:
        yield made


def stock_engine(sessions: Sessions) -> Engine:
    """SQLAlchemy's own dialect, which asks the server about itself at the first connection."""
    url = URL.create("postgresql+psycopg")
    return create_engine(url, creator=lambda: sessions.connect(sessions.address.conninfo()), poolclass=NullPool)


def raced(sessions: Sessions, engine: Engine) -> Trace:
    """Both connect; each step goes to the one who did not move last."""

    def select_one() -> int:
        with engine.begin() as connection:
            return int(connection.execute(text("SELECT 1")).scalar_one())

    def choose(moment: Moment) -> int:
        return len(moment.options) - 1

    hub = Hub(sessions)
    with directed():
        trace = hub.run([GreenletSeat(name, select_one) for name in "ab"], choose)
    for standing in hub.standings.values():
        outcome = standing.report.outcome
        assert outcome is not None
        if outcome.error is not None:
            raise outcome.error
    return trace


def test_first_connection_that_two_actors_make_is_no_step(sessions: Sessions) -> None:
    trace = raced(sessions, stock_engine(sessions))

    assert {str(taken.step) for taken in trace.taken} == STEPS
    assert trace.taken[0].step.actor != trace.taken[1].step.actor


def test_second_race_on_the_same_engine_has_the_same_steps(sessions: Sessions) -> None:
    engine = stock_engine(sessions)

    first, second = (raced(sessions, engine) for _ in range(2))

    assert [str(taken.step) for taken in first.taken] == [str(taken.step) for taken in second.taken]


def test_listener_that_greets_each_connection_makes_no_step(sessions: Sessions) -> None:
    engine = stock_engine(sessions)
    greeted: list[object] = []

    @event.listens_for(engine, "connect")
    def greet(connection: GateConnection, _record: object) -> None:
        greeted.append(connection.execute("SELECT 2").fetchone())
        connection.rollback()

    traces = [raced(sessions, engine) for _ in range(2)]

    assert len(greeted) == 4
    assert [{str(taken.step) for taken in trace.taken} for trace in traces] == [STEPS, STEPS]
