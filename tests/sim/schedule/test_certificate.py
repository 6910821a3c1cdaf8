"""What is kept of an exploration, held against a count of its own, and what one folder has that another has not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.running import RunningServer
from sim.schedule.certificate import Certificate, KeptOutcome, certify, count_anew, tell_certificate
from sim.schedule.exploration import Exploration
from sim.schedule.kept_outcomes import (
    compare,
    forget,
    keep,
    read_certificates,
    scenario_of,
    tell_difference,
    tell_parts,
)
from sim.schedule.sql_actor import SqlRace, explore_sql
from sim.schedule.token import scenario_mark
from sim.schedule.unpruned import Counted
from tests.sim.schedule.sql_races import SMALL_RACES, TABLES
from tests.sim.schedule.test_hub import Lateness, LateStopper

SCENARIO = "folder/test_x.py::test_y[one-2]"
ACTORS = SMALL_RACES["one row, then a read"].actors


def explored(address: DatabaseAddress, max_orders: int) -> tuple[Exploration, Counted | None]:
    with SqlRace(address, signals=True, setup=TABLES, actors=ACTORS) as race:
        found = explore_sql(race, scenario=SCENARIO)
        return found, count_anew(race, found, max_orders=max_orders)


@contextmanager
def locking_together(address: DatabaseAddress) -> Iterator[Callable[[int], None]]:
    """A call that makes two sessions lock a row together, that many times: each time under a new number for both."""
    with ExitStack() as closing:
        both = [closing.enter_context(psycopg.connect(address.conninfo(), autocommit=True)) for _ in range(2)]
        both[0].execute("CREATE TABLE locked (id int); INSERT INTO locked VALUES (1)")

        def lock_together(times: int) -> None:
            for _ in range(times):
                with both[0].transaction(), both[1].transaction():
                    for one in both:
                        one.execute("SELECT id FROM locked FOR SHARE")

        yield lock_together


def certificate(
    *outcomes: str, scenario: str = SCENARIO, orders: int | None = 9, part: str = "", tokens: Sequence[str] = ()
) -> Certificate:
    kept = tuple(
        KeptOutcome(words=words, ends=1, token=f"aaaaaa,{number}", preemptions=number)
        for number, words in enumerate(outcomes)
    )
    return Certificate(
        scenario=scenario,
        mark=scenario_mark(scenario),
        part=part,
        actors=("day", "night"),
        strategy="depth-first",
        is_complete=orders is not None,
        orders=orders,
        counted=None,
        runs=3,
        ends=2,
        states=4,
        steps=5,
        foretold=0,
        reach="somebody waited for somebody",
        reached=1,
        outcomes=kept,
    )


def test_certificate_says_what_was_run_of_what_and_is_read_as_it_was_kept(
    address: DatabaseAddress, tmp_path: Path
) -> None:
    found, counted = explored(address, 1000)

    made = certify(found, counted=counted)
    path = keep(tmp_path, made)

    assert read_certificates(tmp_path) == read_certificates(path) == [made]
    assert scenario_of(tmp_path, scenario_mark(SCENARIO)) == SCENARIO
    assert made.orders == made.counted
    assert f"{made.runs} run of {made.orders} feasible, complete; counted one by one: {made.orders}" in "\n".join(
        tell_certificate(made)
    )


def test_same_race_gives_the_same_certificate(address: DatabaseAddress) -> None:
    first, second = (certify(explored(address, 0)[0]) for _ in range(2))

    assert first == second


def test_same_race_gives_the_same_certificate_whatever_else_the_server_and_the_machine_are_at(
    address: DatabaseAddress, postgres_server: RunningServer
) -> None:
    calm = certify(explored(address, 0)[0])
    runs = count()

    # Others lock rows of theirs together, in another database, after every other run; and the machine is slow.
    with clone(postgres_server, migrated=False) as elsewhere, locking_together(elsewhere) as lock_together:

        def lock_now_and_then(_: "psycopg.Connection[Any]") -> None:
            lock_together(1 - next(runs) % 2)

        with SqlRace(address, signals=True, setup=TABLES, actors=ACTORS, check=lock_now_and_then) as race:
            race.sessions.stopper = LateStopper(Lateness(race, {1, 2}))
            found = explore_sql(race, scenario=SCENARIO)

    assert found.disturbed >= 2
    assert certify(found) == calm


def test_race_larger_than_asked_for_is_not_counted_anew(address: DatabaseAddress) -> None:
    found, counted = explored(address, 2)

    assert counted is None
    assert certify(found, counted=counted).counted is None


def test_count_that_differs_in_number_or_outcome_is_an_error(address: DatabaseAddress) -> None:
    found, counted = explored(address, 1000)
    assert counted is not None
    fewer = Counted(orders=counted.orders - 1, outcomes=counted.outcomes)
    other = Counted(orders=counted.orders, outcomes=counted.outcomes + Counted().outcomes.__class__({"a failed": 1}))

    for wrong in (fewer, other):
        with pytest.raises(SimError) as failed:
            certify(found, counted=wrong)
        assert failed.value.code == "schedule/miscounted"


def test_outcome_that_appears_and_one_that_vanishes_are_named() -> None:
    [found] = compare([certificate("both succeeded", "day refused")], [certificate("both succeeded", "night refused")])

    assert [one.words for one in found.appeared] == ["night refused"]
    assert [one.words for one in found.vanished] == ["day refused"]
    assert list(tell_difference(found))[1:] == [
        "  NEW       night refused  [aaaaaa,1]",
        "  vanished  day refused  [aaaaaa,1]",
    ]


def test_same_outcomes_are_no_difference() -> None:
    assert compare([certificate("a", "b")], [certificate("b", "a")]) == []


def test_exploration_that_is_not_complete_any_longer_and_other_orders_are_remarked() -> None:
    [less] = compare([certificate("a")], [certificate("a", orders=None)])
    [other] = compare([certificate("a", orders=9)], [certificate("a", orders=10)])

    assert "completely" in less.remarks[0]
    assert other.remarks == ("orders: 9 before, 10 now",)


def test_scenario_that_is_new_or_gone_is_no_new_outcome() -> None:
    found = compare([certificate("a", scenario="old")], [certificate("a", scenario="new")])

    assert [(one.scenario, bool(one.appeared), len(one.remarks)) for one in found] == [
        ("new", False, 1),
        ("old", False, 1),
    ]


def test_outcomes_of_parts_count_as_one() -> None:
    parts = [certificate("a", part="part1of2", orders=None), certificate("b", part="part2of2", orders=None)]

    assert compare(parts, parts[::-1]) == []
    assert [one.words for one in compare(parts[:1], parts)[0].appeared] == ["b"]


def test_orders_of_parts_add_up_to_those_of_the_race() -> None:
    parts = [certificate("a", part=f"part{number}of2", orders=orders) for number, orders in ((1, 4), (2, 5))]

    assert compare([certificate("a", orders=9)], parts) == []
    assert compare([certificate("a", orders=9)], parts[:1])[0].remarks == ("orders: 9 before, 4 now",)
    assert "3 run of 4 feasible in this part, complete" in "\n".join(tell_certificate(parts[0]))
    assert list(tell_parts([certificate("a", scenario="whole"), *parts])) == [
        f"{SCENARIO} (2 of 2 parts)",
        "  orders    6 run of 9 feasible, complete",
    ]
    assert list(tell_parts(parts[1:])) == [f"{SCENARIO} (1 of 2 parts)", "  orders    3 run, NOT complete"]


def test_certificates_of_another_split_are_replaced(tmp_path: Path) -> None:
    names = []
    for part in ("", "part1of3", "part2of3", "part1of2", "part2of2", ""):
        keep(tmp_path, certificate("a", scenario=f"{SCENARIO}-longer", part=part))
        keep(tmp_path, certificate("a", part=part))
        names.append([one.part for one in read_certificates(tmp_path) if one.scenario == SCENARIO])

    assert names == [[""], ["part1of3"], ["part1of3", "part2of3"], ["part1of2"], ["part1of2", "part2of2"], [""]]


def test_failed_scenario_keeps_no_certificate(tmp_path: Path) -> None:
    keep(tmp_path, certificate("a"))

    forget(tmp_path, SCENARIO)

    with pytest.raises(SimError) as failed:
        read_certificates(tmp_path)
    assert failed.value.code == "schedule/no_certificates"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"form": 1}', msgspec.json.encode({"outcomes": []})])
def test_file_that_is_no_certificate_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)

    with pytest.raises(SimError) as failed:
        read_certificates(path)
    assert failed.value.code == "schedule/malformed_certificate"
    assert str(path) in failed.value.message
