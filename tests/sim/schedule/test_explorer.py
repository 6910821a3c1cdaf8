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
from sim.schedule.race import Reach
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace, explore_sql
from sim.schedule.token import read_token
from tests.sim.schedule.sql_races import SMALL_RACES, TABLES

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


def test_orders_beyond_the_budget_are_run_with_few_preemptions_and_then_drawn(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        found = Explorer(race, Settings(budget=2, samples=4), "small").explore()
        bounded = Explorer(race, Settings(budget=2, samples=4, depth=2), "small").explore()

    assert (found.is_complete, found.orders, found.runs) == (False, None, 2 + 4 + 2 * 4)
    assert "then 4 with the fewest preemptions, then 4 by priorities (PCT, depth 3) and 4 at random" in found.strategy
    assert (bounded.is_complete, bounded.runs) == (False, 2 + 2 * 4)


def test_budget_that_is_just_enough_is_enough(address: DatabaseAddress) -> None:
    with counting(address, LOCKING) as race:
        whole = Explorer(race, Settings(), "small").explore()
        enough = Explorer(race, Settings(budget=whole.runs), "small").explore()

    assert (enough.is_complete, enough.orders) == (True, whole.orders)


def test_dropped_row_lock_is_found_by_few_preemptions_beyond_the_budget(address: DatabaseAddress) -> None:
    # A single run shows nothing, and nothing is drawn: one preemption is enough, and all such orders are run.
    with counting(address, NOT_LOCKING) as race:
        explorer = Explorer(race, Settings(budget=1, samples=20), "small")
        with pytest.raises(AssertionError, match="both to have counted"):
            explorer.explore()

    assert "PCT" not in explorer.result.strategy


class Numbering:
    """Fails where not both have counted, in words that number the ends."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind, self.ends = kind, 0

    def __call__(self, connection: psycopg.Connection[Any]) -> None:
        self.ends += 1
        if connection.execute("SELECT v FROM accounts WHERE id = 1").fetchone() != (2,):
            raise self._kind(f"end {self.ends}")


@pytest.mark.parametrize("kind", [AssertionError, KeyError])
def test_failure_of_any_kind_is_told_with_the_fewest_preemptions_and_as_it_came_then(
    address: DatabaseAddress, kind: type[Exception]
) -> None:
    # Every lost update fails, each with words of its own; told is the last run, the one whose evidence is kept.
    numbering = Numbering(kind)
    actors = {name: adding_one(NOT_LOCKING) for name in ("day", "night")}
    with SqlRace(address, signals=True, setup=TABLES, actors=actors, check=numbering) as race:
        failing = Settings(budget=1, samples=30, depth=1, seed=3)
        with pytest.raises(kind) as failed:
            Explorer(race, failing, "small").explore()

    [token] = [note.removeprefix("TOKEN ") for note in failed.value.__notes__ if note.startswith("TOKEN ")]
    assert read_token(token).schedule.preemptions == 1
    assert failed.value.args == (f"end {numbering.ends}",)


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


@pytest.mark.parametrize("shards", [2, 5])
@pytest.mark.parametrize("name", ["one row", "one row, then a read", "statements that commit alone", "queue"])
def test_parts_of_an_exploration_are_the_whole(address: DatabaseAddress, name: str, shards: int) -> None:
    anyhow = Reach("somebody moved", lambda trace: bool(trace.taken))
    actors = SMALL_RACES[name].actors
    with SqlRace(address, signals=True, setup=TABLES, actors=actors, reaches=anyhow) as race:
        whole = Explorer(race, Settings(), "small").explore()
        parts = [Explorer(race, Settings(shard=shard, shards=shards), "small").explore() for shard in range(shards)]

    found = {one.words for part in parts for one in part.outcomes}
    assert found == {one.words for one in whole.outcomes}
    assert [part.is_complete for part in parts] == [True] * shards
    assert sum(part.orders or 0 for part in parts) == whole.orders


def test_part_without_what_the_race_is_to_show_looks_for_it_in_the_others(address: DatabaseAddress) -> None:
    # One order of all has night alone in front; the race is vacuous only where no part has it.
    first = Reach("night came first", lambda trace: [one.step.actor for one in trace.taken[:3]] == ["night"] * 3)
    never = Reach("noon came", lambda trace: any(one.step.actor == "noon" for one in trace.taken))
    actors = {name: adding_one(LOCKING) for name in ("day", "night")}
    with SqlRace(address, signals=True, setup=TABLES, actors=actors, reaches=first) as race:
        parts = [Explorer(race, Settings(shard=shard, shards=9), "small").explore() for shard in range(9)]
    with (
        SqlRace(address, signals=True, setup=TABLES, actors=actors, reaches=never) as race,
        pytest.raises(SimError) as failed,
    ):
        Explorer(race, Settings(shard=1, shards=9), "small").explore()

    assert all(part.reached for part in parts)
    assert failed.value.code == "schedule/vacuous"
