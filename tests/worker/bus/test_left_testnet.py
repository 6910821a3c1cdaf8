"""A home whose `.env` changes under a running worker: nothing more is claimed, and what was claimed does not run."""

import os
from uuid import UUID

import pytest

from tests.worker.bus.conftest import Outside, ToldHandler
from worker.bus.claim import claim_once
from worker.bus.context import BusContext
from worker.bus.execute import run_command
from worker.bus.loop import run_at_most, run_until_stopped, step
from worker.handlers.outcome import Assignment, Outcome
from worker.settings import LeftTestnet, StartRefused

TESTNET = "BINANCE_TESTNET=true\n"
LEFT = {
    "false": "BINANCE_TESTNET=false\n",
    "empty": "",
    "twice, false last": f"{TESTNET}BINANCE_TESTNET=false\n",
    "True": "BINANCE_TESTNET=True\n",
}


def end_of(outside: Outside, command_id: UUID) -> tuple[str, str | None]:
    row = outside.command(command_id)
    return row["status"], (row["result_json"] or {}).get("reason")


@pytest.mark.parametrize("content", LEFT)
def test_worker_whose_home_has_left_the_testnet_claims_nothing_and_ends(
    content: str, context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    overdue, command = outside.put(subject="a", expires="-1 second"), outside.put(subject="b")
    context.home.env_file.write_text(LEFT[content])

    with pytest.raises(LeftTestnet) as left:
        step(context)

    assert isinstance(left.value, StartRefused)
    assert str(context.home.env_file) in str(left.value)
    assert [outside.command(one)["status"] for one in (overdue, command)] == ["pending", "pending"]
    assert outside.log_of(overdue) + outside.log_of(command) == []
    assert handler.assignments == []


def test_worker_that_is_told_the_number_of_its_commands_looks_before_each(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    first, second = outside.put(subject="a"), outside.put(subject="b")
    run = handler.on_run

    def run_and_leave(assignment: Assignment) -> Outcome:
        context.home.env_file.write_text("BINANCE_TESTNET=false\n")
        return run(assignment)

    handler.on_run = run_and_leave
    with pytest.raises(LeftTestnet):
        run_at_most(context, 2, should_stop=lambda: False)

    assert [outside.command(one)["status"] for one in (first, second)] == ["succeeded", "pending"]


def test_worker_in_its_loop_looks_each_time_it_wakes(context: BusContext) -> None:
    def leave() -> bool:
        context.home.env_file.write_text("BINANCE_TESTNET=false\n")
        return False

    wake_fd, other_end = os.pipe()
    try:
        with pytest.raises(LeftTestnet):
            run_until_stopped(context, should_stop=leave, wake_fd=wake_fd)
    finally:
        os.close(wake_fd)
        os.close(other_end)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "baseline"])
@pytest.mark.parametrize("content", LEFT)
def test_command_whose_home_left_the_testnet_since_its_claim_is_refused_by_its_handler_and_does_not_run(
    content: str, dry_run: bool, context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command_id = outside.put("apply_profile_testnet" if dry_run else "apply_baseline_holdings")
    command = claim_once(context).command
    assert command is not None
    context.home.env_file.write_text(LEFT[content])

    run_command(context, command)

    assert end_of(outside, command_id) == ("failed", "guard/environment_not_testnet")
    assert outside.log_of(command_id) == ["started", "told.rejected", "result_written"]
    assert str(context.home.env_file) in outside.command(command_id)["error_message"]
    assert handler.assignments == []


def test_change_that_is_on_disk_already_is_told_as_what_it_is(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command_id = outside.put()
    command = claim_once(context).command
    assert command is not None
    context.home.env_file.write_text("BINANCE_TESTNET=false\n")
    handler.applied = True

    run_command(context, command)

    assert end_of(outside, command_id) == ("succeeded", None)
    assert len(handler.assignments) == 1


@pytest.mark.parametrize("content", [TESTNET, f"# paper\n{TESTNET}OTHER=1\n"], ids=["as it was", "more"])
def test_worker_whose_home_still_says_testnet_goes_on(content: str, context: BusContext, outside: Outside) -> None:
    command_id = outside.put()
    context.home.env_file.write_text(content)

    assert step(context)

    assert end_of(outside, command_id) == ("succeeded", None)


def test_worker_whose_home_has_no_env_file_goes_on(context: BusContext, outside: Outside) -> None:
    command_id = outside.put()
    context.home.env_file.unlink()

    assert step(context)

    assert end_of(outside, command_id) == ("succeeded", None)
