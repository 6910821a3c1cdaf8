"""What an exploration says of a race: its outcomes, its shortest tokens, and that the race was one."""

from collections.abc import Callable
from itertools import count
from typing import Any, LiteralString

import psycopg
import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.connection import GateConnection
from sim.schedule.explorer import Explorer, replay
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace, explore_sql
from sim.schedule.token import read_token
from tests.sim.schedule.sql_races import TABLES

LOCKING, NOT_LOCKING = "FOR UPDATE", ""


def adding_one(locking: LiteralString) -> Callable[[GateConnection], None]:
    """Reads a number, then writes one more: right where the row is locked, a lost update where it is not."""

    def run(line: GateConnection) -> None:
        with line.transaction():
            row = line.execute(f"SELECT v FROM accounts WHERE id = 1 {locking}").fetchone()
            assert row is not None
            line.execute("UPDATE accounts SET v = %s WHERE id = 1", (row[0] + 1,))

    return run


def both_count(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT v FROM accounts WHERE id = 1").fetchone()
    assert row is not None
    assert row[0] == 2, f"expected both to have counted, found {row[0]}"


def counting(address: DatabaseAddress, locking: LiteralString) -> SqlRace:
    actors = {name: adding_one(locking) for name in ("day", "night")}
    return SqlRace(address, signals=True, setup=TABLES, actors=actors, check=both_count)


def test_rows_that_are_locked_lose_no_update(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        found = explore_sql(race)

    assert (found.is_complete, [one.words for one in found.outcomes]) == (True, ["day succeeded; night succeeded"])
    assert found.reached > 0


def test_dropped_row_lock_is_found_with_a_token_that_repeats_it(address: DatabaseAddress) -> None:
    with counting(address, NOT_LOCKING) as race:
        with pytest.raises(AssertionError, match="both to have counted") as failed:
            explore_sql(race, scenario="tests/test_x.py::test_y")

        notes = getattr(failed.value, "__notes__", [])
        text = next(note.removeprefix("TOKEN ") for note in notes if note.startswith("TOKEN "))
        token = read_token(text)
        with pytest.raises(AssertionError, match="both to have counted"):
            replay(race, token.schedule)

    # One preemption is the fewest that a lost update takes.
    assert token.schedule.preemptions == 1
    assert any(note.startswith("►") for note in notes)
    assert f"REPEAT pytest 'tests/test_x.py::test_y' --sim-token '{text}'" in notes


def test_token_whose_step_is_gone_says_which(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        token = read_token("aaaaaa,day:delete:accounts=night")

        with pytest.raises(SimError) as failed:
            replay(race, token.schedule)

    assert failed.value.code == "schedule/step_gone"
    assert "day: delete accounts" in failed.value.message


def test_race_in_which_nobody_waits_is_vacuous(address: DatabaseAddress) -> None:
    actors = {"day": ["UPDATE accounts SET v = 1 WHERE id = 1"], "night": ["UPDATE accounts SET v = 1 WHERE id = 2"]}
    with SqlRace(address, signals=True, setup=TABLES, actors=actors) as race, pytest.raises(SimError) as failed:
        explore_sql(race)

    assert failed.value.code == "schedule/vacuous"


def test_orders_beyond_the_budget_are_sampled(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        found = Explorer(race, Settings(budget=2, samples=4), "small").explore()

    assert (found.is_complete, found.orders, found.runs) == (False, None, 10)


def test_dropped_row_lock_is_found_by_chance_too(address: DatabaseAddress) -> None:
    with counting(address, NOT_LOCKING) as race, pytest.raises(AssertionError, match="both to have counted"):
        Explorer(race, Settings(budget=1, samples=30, shrinks=False), "small").explore()


@pytest.mark.parametrize("at_run", [1, 2, 4])
def test_request_to_stop_that_meets_an_actor_ends_the_exploration_and_leaves_nothing(
    address: DatabaseAddress, at_run: int
) -> None:
    # Ctrl-C comes while night is in a transaction, which its code rolls back on its way out.
    runs = count(1)

    def is_stopped(line: GateConnection) -> None:
        with line.transaction():
            line.execute("UPDATE accounts SET v = 5 WHERE id = 1")
            raise {at_run: KeyboardInterrupt}.get(next(runs), ValueError)

    actors = {"day": adding_one(LOCKING), "night": is_stopped}
    with SqlRace(address, signals=True, setup=TABLES, actors=actors) as race:
        with pytest.raises(KeyboardInterrupt):
            explore_sql(race)

        assert next(runs) == at_run + 1
        race.put_back()
        row = race.sessions.monitor.connection.execute("SELECT v FROM accounts WHERE id = 1").fetchone()
        assert row == (0,)


def test_parts_of_an_exploration_are_the_whole(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        whole = Explorer(race, Settings(), "small").explore()
        parts = [Explorer(race, Settings(shard=shard, shards=2), "small").explore() for shard in range(2)]

    found = {one.words for part in parts for one in part.outcomes}
    assert found == {one.words for one in whole.outcomes}
