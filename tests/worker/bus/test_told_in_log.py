"""What recovery and sweeps name in the log: whoever must put something right finds there what, and why."""

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
from worker.bus.loop import CHANNEL, run_at_most, run_until_stopped, step
from worker.bus.recover import recover_lapsed
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, TransientError
from worker.db import bus_store
from worker.handlers.outcome import Assignment, Handler, Outcome
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock

RECOVER, SWEEP = "worker.bus.recover", "worker.bus.sweep"
GONE = "-1 second"


def told(caplog: pytest.LogCaptureFixture, module: str) -> list[tuple[str, tuple[object, ...]]]:
    """How grave each line of that module was, and what it named."""
    return [
        (record.levelname, record.args if isinstance(record.args, tuple) else ())
        for record in caplog.records
        if record.name == module and record.getMessage()
    ]


def text(caplog: pytest.LogCaptureFixture, module: str) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name == module)


@pytest.mark.parametrize("command_type", ["apply_profile_testnet", "apply_baseline_holdings"])
def test_command_that_is_put_back_is_named_with_its_attempt(
    context: BusContext, outside: Outside, command_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(command_type, status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", (command_id, 1))]


def test_command_that_is_given_up_is_named_with_how_often_it_was_begun(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(status="running", attempts=MAX_ATTEMPTS, lease_ends=GONE)
    recover_lapsed(context)

    (error,) = told(caplog, RECOVER)
    message = outside.command(command_id)["error_message"]
    assert error == ("ERROR", (message,))
    assert [word in message for word in (str(command_id), str(MAX_ATTEMPTS), "recovery/attempts_exhausted")] == [
        True
    ] * 3
    assert "None" not in message


def test_command_that_is_taken_over_is_named(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    handler.applied = True
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", (command_id,))]


def test_change_that_another_left_half_done_is_named_with_its_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    stand_an_intent_of(world, UUID(int=7))
    world.advance(MINUTE)
    world.run()

    assert world.command(paused.command_id) == ("succeeded", None)
    finished, *_ = told(caplog, RECOVER)
    assert finished[0] == "WARNING"
    assert [str(argument) for argument in finished[1]] == [str(UUID(int=7)), "1"]


def test_command_that_only_a_person_can_settle_is_named_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    world.home.intent.write_text("{")
    world.advance(MINUTE)
    recover_lapsed(world.context)

    ((level, (command_id, error)),) = told(caplog, RECOVER)
    assert (level, command_id) == ("ERROR", paused.command_id)
    assert error is world.context.set_aside[paused.id]
    recover_lapsed(world.context)
    assert len(told(caplog, RECOVER)) == 1


def test_overdue_commands_are_counted(context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in range(3):
        outside.put(subject=f"S{number}", expires=GONE)
    take_next(context)

    assert told(caplog, "worker.bus.claim") == [("INFO", (3,))]


def test_handler_that_cannot_be_loaded_is_named_with_its_traceback(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(dict[CommandType, Handler]):
        def __getitem__(self, command_type: CommandType) -> Handler:
            raise ImportError(f"no module for {command_type}")

    broken = Broken(context.handlers)
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    assert recover_lapsed(replace(context, handlers=broken)) is None

    (loading, set_aside) = told(caplog, RECOVER)
    assert (loading, set_aside[1][0]) == (("ERROR", (CommandType.APPLY_BASELINE_HOLDINGS,)), command_id)
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

    ((level, (lost,)),) = told(caplog, "worker.bus.execute")
    assert (level, str(command_id) in str(lost)) == ("WARNING", True)


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

    ((level, (lost,)),) = told(caplog, "worker.bus.execute")
    assert (level, str(command_id) in str(lost)) == ("WARNING", True)


def test_last_attempt_that_failed_is_told_with_its_number_and_why(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Assignment) -> Outcome:
        raise TransientError(Reason.HOME_NOT_WRITABLE, "no space is left")

    handler.on_run = fails
    outside.put(attempts=MAX_ATTEMPTS - 1)
    with pytest.raises(TransientError) as caught:
        step(context)

    assert told(caplog, "worker.bus.execute")[0] == ("ERROR", (MAX_ATTEMPTS, caught.value))


def test_last_attempt_whose_change_is_on_disk_is_told_with_its_number_and_why(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_late(_: Assignment) -> Outcome:
        handler.applied = True
        raise TransientError(Reason.HOME_NOT_WRITABLE, "no space is left")

    handler.on_run = fails_late
    command_id = outside.put(attempts=MAX_ATTEMPTS - 1)
    with pytest.raises(TransientError) as caught:
        step(context)

    assert told(caplog, "worker.bus.execute") == [("ERROR", (MAX_ATTEMPTS, caught.value))]
    assert outside.command(command_id)["status"] == "running"


def test_proposal_that_is_settled_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert told(caplog, SWEEP) == [("INFO", (proposal_id, "ETH"))]


def test_proposals_that_are_left_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for asset in ("BTC", "ETH", "SOL"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    ((level, (count, error)),) = told(caplog, SWEEP)
    assert (level, count) == ("ERROR", 3)
    assert {one.reason for one in world.context.proposals_set_aside.values()} == {Reason.HOME_LOCKED}
    assert len(world.context.proposals_set_aside) == 3
    assert error in world.context.proposals_set_aside.values()


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

    news = {(level, *arguments) for level, arguments in told(caplog, SWEEP)}
    errors = world.context.proposals_damaged
    assert news == {("ERROR", one, asset, errors[one]) for one, asset in zip(damaged, ("BTC", "ETH"), strict=True)}
    assert [str(world.home.risk_proposal(one)) in text(caplog, SWEEP) for one in damaged] == [True, True]

    # In one run each is tried once; the next tries all again, and one more is due.
    caplog.clear()
    sweep_due(world.context)
    assert told(caplog, SWEEP) == []
    world.context.proposals_damaged.clear()
    world.advance(MINUTE)
    sweep_due(world.context)
    (news_of_sol, (level, arguments)) = told(caplog, SWEEP)
    assert (news_of_sol[1][:2], level, arguments) == ((later, "SOL"), "WARNING", (2,))


def test_asset_that_came_free_of_older_files_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    # Its rows first, then the asset.
    assert told(caplog, SWEEP) == [("WARNING", ("ETH",)), ("WARNING", ("ETH",))]


def test_asset_that_could_not_come_free_is_told_with_what_is_in_the_way(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    caplog.clear()
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    assert told(caplog, SWEEP) == [("ERROR", (world.context.proposals_set_aside[proposal_id],))]


def test_worker_in_its_loop_says_what_it_listens_to(context: BusContext, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run_until_stopped(context, should_stop=lambda: True, wake_fd=0)

    assert told(caplog, "worker.bus.loop") == [("INFO", (CHANNEL,))]


def test_home_that_the_system_will_not_look_at_is_told(
    context: BusContext, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.state.rename(home.root / "elsewhere")
    home.state.symlink_to(home.state)
    run_at_most(context, 1, should_stop=never)

    ((level, (error,)),) = told(caplog, SWEEP)
    assert (level, str(home.state) in str(error)) == ("WARNING", True)


def test_files_that_could_not_be_compared_are_told_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.proposed()
    world.home.managed_state.write_text("{")
    restore_lost_rows(world.context)

    ((level, (error,)),) = told(caplog, SWEEP)
    assert (level, str(world.home.managed_state) in str(error)) == ("WARNING", True)


@pytest.mark.parametrize(
    ("payload", "kind"), [("null", "null"), ("[]", "array"), ('"text"', "string"), ("7", "number")]
)
def test_payload_that_is_no_object_is_told_by_its_kind(
    context: BusContext, outside: Outside, payload: str, kind: str
) -> None:
    command_id = outside.put(payload=payload)
    step(context)

    words = outside.command(command_id)["error_message"].replace(",", "").split()
    assert {"null", "array", "string", "number"}.intersection(words) == {kind}


def test_unknown_type_is_told_by_its_beginning(context: BusContext, outside: Outside) -> None:
    long = " ".join(f"sell{number}" for number in range(20))
    command_id = outside.put(long)
    step(context)

    message = outside.command(command_id)["error_message"]
    assert (f"'{long[:64]}'" in message, str(command_id) in message) == (True, True)
