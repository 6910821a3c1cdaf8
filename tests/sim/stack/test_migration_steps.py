"""Each step of a migration is told, with the schema before and after it, the mark and the flag."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.running import RunningServer
from sim.rules.registry import judge
from sim.stack.migrations import Migrations
from sim.timeline import Event, Timeline
from worker.contracts.errors import Refusal


@pytest.fixture
def address(postgres_server: RunningServer) -> Iterator[DatabaseAddress]:
    with clone(postgres_server, migrated=False) as made:
        yield made


@pytest.fixture
def moving(address: DatabaseAddress, timeline: Timeline) -> Migrations:
    return Migrations(address, timeline=timeline)


def steps(timeline: Timeline) -> tuple[Event, ...]:
    return timeline.of_kind("migration.stepped")


def test_way_up_and_down_is_told_step_by_step(moving: Migrations, timeline: Timeline) -> None:
    moving.upgrade()
    moving.downgrade("base")

    told = steps(timeline)
    assert [event.subject for event in told] == ["0001", "0002", "0001", "base"]
    assert [event.detail["direction"] for event in told] == ["upgrade"] * 2 + ["downgrade"] * 2
    assert {(event.detail["mark"].split()[0], event.detail["flag"]) for event in told} == {
        ("environment=testnet", "true")
    }
    assert all(before.detail["after"] == after.detail["before"] for before, after in pairwise(told))
    assert set(told[1].detail["after"]) - set(told[1].detail["before"]) == {
        "managed_proposals",
        "managed_assets_history",
    }
    assert told[-1].detail["after"] == {}
    assert judge(timeline) == ()


def test_schema_that_is_told_names_columns_constraints_and_indexes(moving: Migrations, timeline: Timeline) -> None:
    moving.upgrade("0001")

    lines = "\n".join(steps(timeline)[-1].detail["after"]["commands"])
    for words in ("column status text", "constraint commands_environment_check", "commands_one_active_per_subject"):
        assert words in lines


@pytest.mark.parametrize("mark", ["environment=mainnet", None], ids=str)
def test_migration_that_is_refused_tells_no_step(moving: Migrations, timeline: Timeline, mark: str | None) -> None:
    moving.mark(mark)
    with pytest.raises(Refusal):
        moving.upgrade()

    assert steps(timeline) == ()


def test_nothing_is_told_of_a_migration_that_has_nothing_to_do(moving: Migrations, timeline: Timeline) -> None:
    moving.upgrade()
    before = len(steps(timeline))
    moving.upgrade()

    assert len(steps(timeline)) == before


def test_statements_outside_a_migration_are_not_listened_to(moving: Migrations, timeline: Timeline) -> None:
    moving.upgrade()
    before = len(steps(timeline))
    moving.run("UPDATE alembic_version SET version_num = version_num")

    assert moving.differences_to_code() == []
    assert len(steps(timeline)) == before
