"""Orders that are given by step names, on real locks: who waits, who gets the lock, who is told of a deadlock."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Container, Iterable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.certificate import certify
from sim.schedule.explorer import Conductor, Explorer, play
from sim.schedule.hub import Moment
from sim.schedule.sessions import DEADLOCK_TIMEOUT_MS, MAX_DEADLOCK_TIMEOUT_MS
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace
from sim.schedule.stopping import Stopper
from sim.schedule.tell import tell_exploration
from sim.stack.child import wait_until
from tests.sim.schedule.sql_races import TABLES

ADD_1, ADD_2 = (f"UPDATE accounts SET v = v + 1 WHERE id = {account}" for account in (1, 2))
CROSSING = {"a": ["BEGIN", ADD_1, ADD_2, "COMMIT"], "b": ["BEGIN", ADD_2, ADD_1, "COMMIT"]}
HOLD_FOR_A_MOMENT = b"BEGIN; SELECT FROM accounts WHERE id = 1 FOR UPDATE; SELECT pg_sleep(0.3); COMMIT"
STILL_YOUNG = """SELECT FROM pg_locks WHERE pid = %s AND NOT granted
   AND clock_timestamp() - waitstart < %s * interval '1 ms'"""
HOLDS = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
ONE_ROW = {name: ["BEGIN", ADD_1, "COMMIT"] for name in "abc"}


def opened(address: DatabaseAddress, actors: dict[str, list[str]], *, signals: bool = True) -> SqlRace:
    return SqlRace(address, signals=signals, setup=TABLES, actors=actors)


def test_statement_on_a_locked_row_waits_until_its_holder_commits(address: DatabaseAddress) -> None:
    with opened(address, {name: ONE_ROW[name] for name in "ab"}) as race:
        played = race.play(["a1", "a2", "b1", "b2", "a3", "b3"])

    assert played.waited == ("b2",)
    assert played.trace.waits == [("b", "a")]
    assert [result.sqlstate for results in played.results.values() for result in results] == [None] * 6


def test_short_wait_for_a_session_outside_is_no_part_of_the_order(address: DatabaseAddress) -> None:
    # As autovacuum does, somebody who is no actor holds a lock for a moment.
    with (
        opened(address, {name: ONE_ROW[name] for name in "ab"}) as race,
        closing(psycopg.connect(address.conninfo(), autocommit=True)) as outsider,
    ):
        outsider.pgconn.send_query(HOLD_FOR_A_MOMENT)
        with psycopg.connect(address.conninfo(), autocommit=True) as looking:
            wait_until(
                lambda: looking.execute(HOLDS, [outsider.info.backend_pid]).fetchone() is not None, "the lock held"
            )
        played = race.play(["a1", "a2", "b1", "b2", "a3", "b3"])

    assert played.waited == ("b2",)
    assert played.trace.waits == [("b", "a")]


@pytest.mark.parametrize("signals", [True, False])
def test_deadlock_is_told_with_its_circle_and_one_victim(address: DatabaseAddress, signals: bool) -> None:
    with opened(address, CROSSING, signals=signals) as race:
        played = race.play(["a1", "b1", "a2", "b2", "a3", "b3"])

    states = [result.sqlstate for results in played.results.values() for result in results if result.sqlstate]
    assert set(played.trace.deadlocks[0]) == {"a", "b"}
    assert states[0] == "40P01"


class Lateness:
    """What makes the hub late, the first few times: whoever waits has looked for a deadlock before it is stopped."""

    def __init__(self, race: SqlRace, late_at: Container[int]) -> None:
        self._sessions, self._late_at = race.sessions, late_at
        self.blocks = 0

    def __call__(self, pid: int) -> None:
        self.blocks += 1
        timeout_ms = 2 * self._sessions.deadlock_timeout_ms
        with psycopg.connect(self._sessions.address.conninfo(), autocommit=True) as looking:
            while (
                self.blocks in self._late_at and looking.execute(STILL_YOUNG, [pid, timeout_ms]).fetchone() is not None
            ):
                continue


class LateStopper(Stopper):
    """Stops whoever waits when that is too late."""

    def __init__(self, late: Lateness) -> None:
        super().__init__()
        self._late = late

    def stop(self, pid: int) -> None:
        self._late(pid)
        super().stop(pid)


class LateQuestion:
    """Asks the monitor when both want what the other has, but at first not before whoever waits has looked."""

    def __init__(self, race: SqlRace) -> None:
        self._race, self._ask = race, race.sessions.monitor.blockers_of
        self._late = Lateness(race, range(1, 1000))

    def __call__(self, pids: Iterable[int]) -> dict[int, tuple[int, ...]]:
        asked = list(pids)
        steps = [one.step.verb for one in self._race.hub.standings.values() if one.step is not None]
        if steps == ["a3", "b3"] and self._race.sessions.deadlock_timeout_ms == DEADLOCK_TIMEOUT_MS:
            self._late(asked[0])
        return self._ask(asked)


def crossing_in_vain(victim: str) -> Callable[[Moment], int]:
    order = ["a1", "b1", "a2", "b2", "a3", "b3"]

    def choose(moment: Moment) -> int:
        made = [one.step.verb for one in moment.trace.taken]
        wanted = order[len(made)][0] if made == order[: len(made)] and len(made) < len(order) else victim
        names = [option.actor for option in moment.options]
        return names.index(wanted) if wanted in names else 0

    return choose


@pytest.mark.parametrize("late_at", [{1}, {2}, {1, 2}, {2, 3, 5}], ids=str)
@pytest.mark.parametrize("victim", ["a", "b"])
def test_deadlock_that_the_server_saw_before_it_was_asked_is_told_to_the_chosen_one(
    address: DatabaseAddress, victim: str, late_at: set[int]
) -> None:
    with opened(address, CROSSING) as race:
        race.sessions.stopper = LateStopper(Lateness(race, late_at))
        conductor = Conductor(race, crossing_in_vain(victim))
        play(race, conductor)

    told = [result.step for results in race.last.values() for result in results if result.sqlstate == "40P01"]
    assert race.sessions.deadlock_timeout_ms >= 2 ** len(late_at) * DEADLOCK_TIMEOUT_MS
    assert conductor.trace.deadlocks != []
    assert told == [f"{victim}3"]


def test_deadlock_that_was_told_before_anybody_knew_who_waits_is_told_to_the_chosen_one(
    address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(address, CROSSING) as race:
        monkeypatch.setattr(race.sessions.monitor, "blockers_of", LateQuestion(race))
        conductor = Conductor(race, crossing_in_vain("a"))
        play(race, conductor)

    told = [result.step for results in race.last.values() for result in results if result.sqlstate == "40P01"]
    assert race.sessions.deadlock_timeout_ms >= 2 * DEADLOCK_TIMEOUT_MS
    assert (conductor.trace.deadlocks != [], told) == (True, ["a3"])


def test_exploration_that_is_disturbed_now_and_then_finds_the_same(address: DatabaseAddress) -> None:
    found = []
    for late_at in ((), (2, 5, 9)):
        with opened(address, CROSSING) as race:
            race.sessions.stopper = LateStopper(Lateness(race, late_at))
            one = Explorer(race, Settings(audits=10_000), "disturbed").explore()
        found.append((one.is_complete, one.audited == one.foretold > 0, certify(one)))
        told = "\n".join(tell_exploration(one))
        assert one.disturbed >= len(late_at)
        assert told.count(f"disturbed {one.disturbed} times by a slow machine") == (1 if one.disturbed else 0)

    assert found[0] == found[1]


def test_machine_that_never_stops_a_session_in_time_is_told(address: DatabaseAddress) -> None:
    with opened(address, CROSSING) as race:
        race.sessions.deadlock_timeout_ms = MAX_DEADLOCK_TIMEOUT_MS
        with pytest.raises(SimError) as failed:
            race.sessions.allow_more_time()

    assert failed.value.code == "schedule/machine_too_slow"


def test_three_actors_need_signals_and_say_so(address: DatabaseAddress) -> None:
    with opened(address, ONE_ROW, signals=False) as race, pytest.raises(SimError) as failed:
        race.play([])

    assert failed.value.code == "schedule/signals_needed"


def test_two_actors_do_without_signals(address: DatabaseAddress) -> None:
    with opened(address, {name: ONE_ROW[name] for name in "ab"}, signals=False) as race:
        played = race.play(["a1", "a2", "b1", "b2", "a3", "b3"])

    assert played.waited == ("b2",)


def test_unknown_step_is_named(address: DatabaseAddress) -> None:
    with opened(address, ONE_ROW) as race, pytest.raises(SimError) as failed:
        race.play(["a1", "z9"])

    assert failed.value.code == "schedule/unknown_step"
    assert "z9" in failed.value.message


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE accounts ADD COLUMN w int",
        "CREATE UNIQUE INDEX by_value ON accounts (v)",
        "BEGIN; DROP TABLE accounts; COMMIT",
        "DO $$ BEGIN CREATE TABLE more (id int); END $$",
    ],
)
def test_step_that_changes_the_schema_is_refused_before_it_is_made(address: DatabaseAddress, statement: str) -> None:
    with opened(address, {"a": [ADD_1], "b": ["BEGIN", statement]}) as race:
        before = race.tables.digests()

        with pytest.raises(SimError) as failed:
            race.play(["a1"])
        race.put_back()
        assert race.tables.digests() == before

    assert failed.value.code == "schedule/schema_changes"
    assert "b:b2" in failed.value.message


def test_temporary_table_is_no_change_of_the_schema(address: DatabaseAddress) -> None:
    making = ["BEGIN", "CREATE TEMP TABLE mine (v int) ON COMMIT DROP", "COMMIT"]
    with opened(address, {"a": making, "b": [ADD_1]}) as race:
        played = race.play(["a1", "b1", "a2", "a3"])

    assert [result.sqlstate for results in played.results.values() for result in results] == [None] * 4


def test_stopped_process_goes_on_when_its_run_is_killed(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    program = (
        "import sys; from sim.schedule.stopping import Stopper; stopper = Stopper(); "
        f"stopper.stop({sleeper.pid}); print('stopped', flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"stopped\n"
    state = psutil.Process(sleeper.pid)
    wait_until(lambda: state.status() == psutil.STATUS_STOPPED, "the sleeper stopped")

    run.kill()
    run.communicate()

    wait_until(lambda: state.status() != psutil.STATUS_STOPPED, "the sleeper woken")
    sleeper.communicate()


def test_stopper_wakes_everybody_at_its_end() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    stopper = Stopper()
    stopper.stop(sleeper.pid)
    wait_until(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED, "the sleeper stopped")
    watchdog = stopper.watchdog_pid
    assert watchdog is not None

    stopper.close()

    wait_until(lambda: psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED, "the sleeper woken")
    assert not psutil.pid_exists(watchdog)
    os.kill(sleeper.pid, signal.SIGTERM)
    sleeper.communicate()
