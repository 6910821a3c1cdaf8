"""Both workers take commands off the bus in the same order and recover the same ones."""

import json

import pytest

from tests.worker.two_implementations.playing import Given, play
from tests.worker.two_implementations.worlds import EXPIRES, World, command_id


def put_three(world: World) -> None:
    for name in ("first", "second", "third"):
        world.put(name)


def held_elsewhere(world: World) -> None:
    put_three(world)
    world.put_baseline()
    world.hold("first", status="running", attempts=1)


def expired_ones_first(world: World) -> None:
    for number in range(103):
        world.put(f"late {number}", expires_at=world.clock.now())
    world.put("in time")


def later_id_made_earlier(world: World) -> None:
    put_three(world)
    world.connection.execute(
        "UPDATE commands SET created_at = created_at - interval '1 s' WHERE idempotency_key = 'third'"
    )


def later_id_of_another_subject_made_earlier(world: World) -> None:
    world.put("first")
    world.put_baseline()
    world.connection.execute("UPDATE commands SET created_at = created_at - interval '1 s' WHERE subject = 'baseline'")


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        (put_three, ("--once",), {"first": "succeeded", "second": "pending", "third": "pending"}),
        (put_three, ("--max-iterations", "2"), {"first": "succeeded", "second": "succeeded", "third": "pending"}),
        (put_three, ("--max-iterations", "9"), {"first": "succeeded", "second": "succeeded", "third": "succeeded"}),
        (later_id_made_earlier, ("--once",), {"first": "pending", "second": "pending", "third": "succeeded"}),
        (later_id_of_another_subject_made_earlier, ("--once",), {"first": "pending", "baseline": "succeeded"}),
        (
            held_elsewhere,
            ("--max-iterations", "9"),
            {"first": "running", "second": "pending", "third": "pending", "baseline": "succeeded"},
        ),
        (expired_ones_first, ("--once",), {"late 0": "expired", "late 102": "pending", "in time": "succeeded"}),
        (lambda world: None, ("--once",), {}),
    ],
    ids=[
        "once",
        "twice",
        "until empty",
        "made earlier",
        "another made earlier",
        "held subject",
        "many expired",
        "nothing",
    ],
)
def test_bus_is_worked_off_in_the_same_order(
    worlds: tuple[World, World], given: Given, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert play(worlds, given, *options) == 0
    statuses = {name: command["status"] for name, command in worlds[0].commands().items()}
    assert {name: statuses[name] for name in expected} == expected


def test_type_that_a_worker_has_no_handler_for_is_refused_by_name(worlds: tuple[World, World]) -> None:
    # Only the second worker lacks the managed types; a worker of its own may.
    _, foreign = worlds
    foreign.put("pause", command_type="pause_managed_asset", subject="BTC")

    assert foreign.run("--once") == 0
    assert foreign.reasons() == {"pause": ("failed", "validation/handler_not_available")}
    log = foreign.connection.execute("SELECT event_type FROM command_audit_log ORDER BY id")
    assert [row[0] for row in log] == ["started", "result_written"]


def lapsed_profile(status: str, attempts: int) -> Given:
    def given(world: World) -> None:
        world.put("profile")
        world.hold("profile", status=status, attempts=attempts)
        world.lapse()

    return given


def lapsed_baseline(attempts: int) -> Given:
    """Begun by a worker that went away before it touched a file."""

    def given(world: World) -> None:
        world.put_baseline()
        world.hold("baseline", status="running", attempts=attempts)
        world.lapse()

    return given


def applied_and_not_told(attempts: int) -> Given:
    """The change is on disk; its worker went away before it wrote a row."""

    def given(world: World) -> None:
        world.put_baseline()
        assert world.run("--once") == 0
        for statement in ("command_audit_log", "audit_events", "baseline_holdings"):
            world.connection.execute(f"DELETE FROM {statement}")
        world.hold("baseline", status="running", attempts=attempts)
        world.lapse()

    return given


def cut_between_the_renames(world: World) -> None:
    """The intent stands, the first file is new, the second is old."""
    applied_and_not_told(1)(world)
    state = world.home / "state"
    contents = {name: (state / f"{name}.json").read_text() for name in ("baseline_holdings", "managed_state")}
    sides = {name: {"before": "absent", "after": text} for name, text in contents.items()}
    owner = {"schema_version": 1, "command_id": str(command_id("baseline")), "attempt": 1, "generation": 1}
    (state / ".intent.json").write_text(json.dumps(owner | sides))
    (state / "managed_state.json").unlink()
    (state / "audit_snapshots" / f"{command_id('baseline')}.json").unlink()
    (state / f".managed_state.json.{command_id('baseline')}-1.worker-tmp").write_text("{")
    (state / ".market_snapshot.json.bot-tmp").write_text("not the worker's")


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        (lapsed_profile("claimed", 1), ("--once",), ("succeeded", None)),
        (lapsed_profile("running", 2), ("--once",), ("succeeded", None)),
        (lapsed_profile("claimed", 3), ("--once",), ("failed", "recovery/attempts_exhausted")),
        (lapsed_profile("running", 3), ("--once",), ("failed", "recovery/attempts_exhausted")),
        (lapsed_baseline(1), ("--once",), ("succeeded", None)),
        (lapsed_baseline(3), ("--once",), ("failed", "recovery/attempts_exhausted")),
        (applied_and_not_told(1), ("--once",), ("succeeded", None)),
        (applied_and_not_told(3), ("--once",), ("succeeded", None)),
        (cut_between_the_renames, ("--once",), ("succeeded", None)),
    ],
    ids=[
        "claimed once",
        "running twice",
        "claimed three times",
        "running three times",
        "baseline not begun",
        "baseline never done",
        "baseline on disk",
        "baseline on disk after three",
        "baseline half renamed",
    ],
)
def test_abandoned_command_is_recovered_the_same(
    worlds: tuple[World, World], given: Given, options: tuple[str, ...], expected: tuple[str, str | None]
) -> None:
    assert play(worlds, given, *options) == 0
    assert list(worlds[0].reasons().values()) == [expected]


def test_command_that_expires_while_its_holder_is_gone_is_swept(worlds: tuple[World, World]) -> None:
    def given(world: World) -> None:
        lapsed_profile("running", 1)(world)
        world.clock.freeze_at(EXPIRES)

    assert play(worlds, given) == 0
    assert worlds[0].reasons() == {"profile": ("expired", "expiry/command_expired")}
