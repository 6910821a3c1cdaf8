"""What recovery and sweeps say in the log: whoever must put something right finds there what, and why."""

import logging
from dataclasses import replace
from uuid import UUID

import pytest

from tests.worker.bus.conftest import Outside, ToldHandler, succeeded
from tests.worker.bus.test_recover_managed import pause_without_rows, stand_an_intent_of
from tests.worker.managed_worlds import MINUTE, World
from tests.worker.older_files import reopened
from worker.bus.claim import claim_once, take_next
from worker.bus.context import MAX_ATTEMPTS, BusContext, never
from worker.bus.execute import finish_started, run_command
from worker.bus.loop import run_at_most, run_until_stopped, step
from worker.bus.recover import recover_lapsed
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.commands import CommandType
from worker.contracts.errors import LeaseLost, Reason, TransientError
from worker.db import bus_store
from worker.handlers.outcome import Assignment, Handler, Outcome
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock

RECOVER, SWEEP = "worker.bus.recover", "worker.bus.sweep"
GONE = "-1 second"
NOT_COMPARED = "the managed assets in the files could not be compared with their rows"


def told(caplog: pytest.LogCaptureFixture, module: str) -> list[tuple[str, str]]:
    """How grave each line of that module was, and the line."""
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == module]


@pytest.mark.parametrize("command_type", ["apply_profile_testnet", "apply_baseline_holdings"])
def test_command_that_is_put_back_is_named_with_its_attempt(
    context: BusContext, outside: Outside, command_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(command_type, status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", f"lease of command {command_id}, attempt 1, ran out; put back")]


def test_command_that_is_given_up_is_named_with_how_often_it_was_begun(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(status="running", attempts=MAX_ATTEMPTS, lease_ends=GONE)
    recover_lapsed(context)

    message = (
        f"recovery/attempts_exhausted: command {command_id} was begun 3 times and never finished; look at the worker's "
        "log for why, then request it again"
    )
    assert told(caplog, RECOVER) == [("ERROR", message)]
    assert outside.command(command_id)["error_message"] == message


def test_command_that_is_taken_over_is_named(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    handler.applied = True
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", f"command {command_id} is on disk; finishing it")]


def test_change_that_another_left_half_done_is_named_with_its_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    stand_an_intent_of(world, UUID(int=7))
    world.advance(MINUTE)
    world.run()

    assert world.command(paused.command_id) == ("succeeded", None)
    finished, *_ = told(caplog, RECOVER)
    assert finished == (
        "WARNING",
        f"finished the change of both files that command {UUID(int=7)}, attempt 1, left behind",
    )


def test_command_that_only_a_person_can_settle_is_named_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    world.home.intent.write_text("{")
    world.advance(MINUTE)
    recover_lapsed(world.context)

    once = [("ERROR", f"command {paused.command_id} is left as it is: {world.context.set_aside[paused.id]}")]
    assert told(caplog, RECOVER) == once
    recover_lapsed(world.context)
    assert told(caplog, RECOVER) == once


def test_overdue_commands_are_counted(context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in range(3):
        outside.put(subject=f"S{number}", expires=GONE)
    take_next(context)

    assert told(caplog, "worker.bus.claim") == [("INFO", "3 overdue command(s) expired")]


def test_handler_that_cannot_be_loaded_is_named_with_its_traceback(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(dict[CommandType, Handler]):
        def __getitem__(self, command_type: CommandType) -> Handler:
            raise ImportError(f"no module for {command_type}")

    broken = Broken(context.handlers)
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    assert recover_lapsed(replace(context, handlers=broken)) is None

    why = (
        "validation/handler_not_available: the handler of apply_baseline_holdings cannot be loaded, the log says why; "
        "install the worker anew"
    )
    assert told(caplog, RECOVER) == [
        ("ERROR", "the handler of apply_baseline_holdings cannot be loaded"),
        ("ERROR", f"command {command_id} is left as it is: {why}"),
    ]
    assert "no module for apply_baseline_holdings" in caplog.text


def test_result_that_comes_too_late_is_named_with_its_command(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    def loses(assignment: Assignment) -> Outcome:
        outside.rows("UPDATE commands SET attempts = attempts + 1")
        return succeeded(assignment)

    handler.on_run = loses
    command_id = outside.put()
    step(context)

    dropped = f"command {command_id} is no longer held under attempt 1; this worker's result is dropped"
    assert told(caplog, "worker.bus.execute") == [("WARNING", f"conflict/lease_lost: {dropped}")]


@pytest.mark.parametrize("comes_before", ["start", "files"])
def test_command_that_somebody_else_has_by_now_is_named(
    context: BusContext, outside: Outside, comes_before: str, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put()
    command = claim_once(context).command
    assert command is not None
    now = bus_store.start(context.connection, command)
    assert now is not None
    outside.rows("UPDATE commands SET attempts = attempts + 1")
    runs = {"start": lambda: run_command(context, command), "files": lambda: finish_started(context, command, now)}
    runs[comes_before]()

    assert told(caplog, "worker.bus.execute") == [("WARNING", str(LeaseLost(command_id, 1)))]


def test_last_attempt_that_failed_is_told_with_its_number_and_why(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Assignment) -> Outcome:
        raise TransientError(Reason.HOME_NOT_WRITABLE, "no space is left")

    handler.on_run = fails
    outside.put(attempts=MAX_ATTEMPTS - 1)
    with pytest.raises(TransientError):
        step(context)

    first, *_ = told(caplog, "worker.bus.execute")
    assert first == ("ERROR", "attempt 3 was the last: io/home_not_writable: no space is left")


def test_last_attempt_whose_change_is_on_disk_is_told_with_its_number_and_why(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_late(_: Assignment) -> Outcome:
        handler.applied = True
        raise TransientError(Reason.HOME_NOT_WRITABLE, "no space is left")

    handler.on_run = fails_late
    command_id = outside.put(attempts=MAX_ATTEMPTS - 1)
    with pytest.raises(TransientError):
        step(context)

    assert told(caplog, "worker.bus.execute") == [
        (
            "ERROR",
            "attempt 3 was the last, but its change is on disk and stays for recovery: io/home_not_writable: no space "
            "is left",
        )
    ]
    assert outside.command(command_id)["status"] == "running"


def test_proposal_that_is_settled_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert told(caplog, SWEEP) == [("INFO", f"proposal {proposal_id} of ETH was due and is settled")]


def test_proposals_that_are_left_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for asset in ("BTC", "ETH", "SOL"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    first, *others = world.context.proposals_set_aside.values()
    assert told(caplog, SWEEP) == [("ERROR", f"3 due proposal(s) are left as they are: {first}")]
    assert (first.reason, others) == (Reason.HOME_LOCKED, [first, first])


def test_damage_is_named_when_it_is_news_and_counted_when_it_is_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = [world.proposed(asset) for asset in ("BTC", "ETH")]
    for proposal_id in damaged:
        world.home.risk_proposal(proposal_id).write_text("{")
    world.advance(MINUTE)
    later = world.proposed("SOL")
    world.home.risk_proposal(later).write_text("{")
    world.advance(14 * MINUTE)
    sweep_due(world.context)

    errors = world.context.proposals_damaged
    assert set(told(caplog, SWEEP)) == {
        ("ERROR", f"proposal {one} of {asset} is set aside: {errors[one]}")
        for one, asset in zip(damaged, ("BTC", "ETH"), strict=True)
    }
    assert [str(world.home.risk_proposal(one)) in str(errors[one]) for one in damaged] == [True, True]

    # In one run each is tried once; the next tries all again, and one more is due.
    caplog.clear()
    sweep_due(world.context)
    assert told(caplog, SWEEP) == []
    world.context.proposals_damaged.clear()
    world.advance(MINUTE)
    sweep_due(world.context)
    assert told(caplog, SWEEP) == [
        ("ERROR", f"proposal {later} of SOL is set aside: {world.context.proposals_damaged[later]}"),
        ("WARNING", "2 due proposal(s) are still damaged, as was told before"),
    ]


def test_asset_that_came_free_of_older_files_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert told(caplog, SWEEP) == [
        ("WARNING", "rows of ETH were not as the files say and are written anew"),
        ("WARNING", "ETH stood under a proposal that had ended before, and is frozen again"),
    ]


def test_asset_that_could_not_come_free_is_told_with_what_is_in_the_way(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    caplog.clear()
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    why = world.context.proposals_set_aside[proposal_id]
    assert told(caplog, SWEEP) == [("ERROR", f"assets under proposals that ended before are left as they are: {why}")]


def test_worker_in_its_loop_says_what_it_listens_to(context: BusContext, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run_until_stopped(context, should_stop=lambda: True, wake_fd=0)

    assert told(caplog, "worker.bus.loop") == [("INFO", "listening on command_bus")]


def test_home_that_the_system_will_not_look_at_is_told(
    context: BusContext, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.state.rename(home.root / "elsewhere")
    home.state.symlink_to(home.state)
    run_at_most(context, 1, should_stop=never)

    ((level, line),) = told(caplog, SWEEP)
    assert (level, line.startswith(f"{NOT_COMPARED}: "), str(home.state) in line) == ("WARNING", True, True)


def test_files_that_could_not_be_compared_are_told_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.proposed()
    world.home.managed_state.write_text("{")
    restore_lost_rows(world.context)

    ((level, line),) = told(caplog, SWEEP)
    told_file = str(world.home.managed_state) in line
    assert (level, line.startswith(f"{NOT_COMPARED}: "), told_file) == ("WARNING", True, True)


@pytest.mark.parametrize(
    ("payload", "kind"), [("null", "null"), ("[]", "an array"), ('"text"', "a string"), ("7", "a number")]
)
def test_payload_that_is_no_object_is_told_by_its_kind(
    context: BusContext, outside: Outside, payload: str, kind: str
) -> None:
    command_id = outside.put(payload=payload)
    step(context)

    assert outside.command(command_id)["error_message"] == (
        f"validation/payload_not_object: command {command_id} has a payload that is {kind}, expected an object; make "
        "the command through its service"
    )


def test_unknown_type_is_told_by_its_beginning(context: BusContext, outside: Outside) -> None:
    long = " ".join(f"sell{number}" for number in range(20))
    command_id = outside.put(long)
    step(context)

    assert outside.command(command_id)["error_message"] == (
        f"validation/unknown_command_type: command {command_id} has type '{long[:64]}', which this worker does not "
        "know; update the worker or remove the producer"
    )
