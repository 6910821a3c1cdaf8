"""Both workers leave alone what they must in a home that is not as it should be."""

import hashlib
import json

import pytest

from tests.worker.two_implementations.playing import Given, play
from tests.worker.two_implementations.worlds import World, command_id


def with_first_baseline(world: World) -> None:
    world.put_baseline("earlier")
    assert world.run("--once") == 0
    world.put_baseline(quantity="7")


def damaged(name: str, content: str) -> Given:
    def given(world: World) -> None:
        with_first_baseline(world)
        (world.home / "state" / name).write_text(content)

    return given


def changed_by(name: str, old: str, new: str) -> Given:
    def given(world: World) -> None:
        with_first_baseline(world)
        path = world.home / "state" / name
        before = path.read_text()
        path.write_text(before.replace(old, new, 1))
        assert path.read_text() != before

    return given


def managed_asset(world: World) -> None:
    """The first asset of the baseline is paused; its history says so too, else one of the two would put that right."""
    changed_by("managed_state.json", '"frozen"', '"paused"')(world)
    world.connection.execute(
        "INSERT INTO managed_assets_history (asset, state_from, state_to, actor, event_type, ts)"
        " SELECT min(asset), 'managed_active', 'paused', 'user:23', 'managed.asset_pause_succeeded',"
        " timezone('UTC', now()) FROM baseline_holdings"
    )


def foreign_intent(world: World) -> None:
    """An intent whose files have moved on without it."""
    with_first_baseline(world)
    state = world.home / "state"
    side = {name: {"before": hashlib.sha256(b"other").hexdigest()} for name in ("baseline_holdings", "managed_state")}
    contents = {
        name: (state / f"{name}.json").read_text().replace('"generation": 1', '"generation": 2') for name in side
    }
    sides = {name: side[name] | {"after": contents[name]} for name in side}
    owner = {"schema_version": 1, "command_id": str(command_id("other")), "attempt": 1, "generation": 2}
    (state / ".intent.json").write_text(json.dumps(owner | sides))


def file_for_a_folder(world: World) -> None:
    world.put_baseline()
    (world.home / "state").rmdir()
    (world.home / "state").write_text("")


def test_an_asset_under_management_refuses_the_baseline(worlds: tuple[World, World]) -> None:
    assert play(worlds, managed_asset) == 0
    assert worlds[0].reasons()["baseline"] == ("failed", "state/asset_not_frozen")


def test_a_frozen_asset_does_not(worlds: tuple[World, World]) -> None:
    assert play(worlds, with_first_baseline) == 0
    assert worlds[0].reasons()["baseline"] == ("succeeded", None)


@pytest.mark.parametrize(
    "given",
    [
        damaged("managed_state.json", "{"),
        damaged("baseline_holdings.json", "[]"),
        damaged("managed_state.json", ""),
        changed_by("managed_state.json", '"schema_version": 1', '"schema_version": 2'),
        changed_by("managed_state.json", '"frozen"', '"sleeping"'),
        changed_by("managed_state.json", '"generation": 1', '"generation": 2'),
        changed_by("baseline_holdings.json", '"quantity": "0.5"', '"quantity": 0.5'),
        changed_by("baseline_holdings.json", "09:00:00Z", "09:00:00+00:00"),
        damaged(".intent.json", "{"),
        foreign_intent,
        file_for_a_folder,
    ],
    ids=[
        "no json",
        "a list",
        "empty",
        "schema version",
        "unknown state",
        "two generations",
        "amount a number",
        "time without Z",
        "intent damaged",
        "intent of other files",
        "state is a file",
    ],
)
def test_files_that_cannot_be_used_leave_the_command_to_recovery(worlds: tuple[World, World], given: Given) -> None:
    assert play(worlds, given) == 1
    assert worlds[0].commands()["baseline"]["status"] == "running"


def test_third_failure_of_the_disk_fails_the_command(worlds: tuple[World, World]) -> None:
    def given(world: World) -> None:
        damaged("managed_state.json", "{")(world)
        world.connection.execute("UPDATE commands SET attempts = 2 WHERE status = 'pending'")

    assert play(worlds, given) == 1
    assert worlds[0].reasons()["baseline"] == ("failed", "io/damaged_file")
