"""Time runs out while somebody is at it.

Asked in review: the proposal expired at 09:15:00 and the approval was clicked at 09:15:00; did it take effect? And the
command that expired while the worker was taking it?
Must hold: each step is judged by the time at which its transaction began; what was accepted in time and runs late
fails, and nothing moves; a command past its expiry never runs, and one that began in time may finish.
"""

import pytest

from sim.story import Stack, between, every_interleaving, inside_transaction, minutes
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

TYPE = "apply_profile_testnet"
ENDS = [
    (CommandStatus.EXPIRED, ["expired"]),
    (CommandStatus.FAILED, ["started", f"{TYPE}.dry_run_started", f"{TYPE}.dry_run_rejected", "result_written"]),
    (CommandStatus.SUCCEEDED, ["started", f"{TYPE}.dry_run_started", f"{TYPE}.dry_run_succeeded", "result_written"]),
]


@pytest.mark.needs_handlers("managed")
@every_interleaving
def test_approval_clicked_while_its_proposal_expires_takes_no_effect(stack: Stack) -> None:
    # 09:00  A proposal can be decided for another minute. The operator clicks, and the minute passes.
    proposal = stack.given.risk_proposed("BTC", expires_in=minutes(1))
    day = stack.operator("day")
    page = day.open_proposal(proposal)

    with stack.race(reaches=inside_transaction("clock", of="day")) as race:
        approval = race.start(day.approve, page, "balanced", hard_confirm="BTC:balanced")
        race.start(stack.clock.advance, minutes(1), name="clock")

    # Accepted in time or refused at once: either way the proposal has expired when a worker comes to it.
    lates: dict[str | None, list[Reason]] = {None: [Reason.PROPOSAL_EXPIRED], Reason.PROPOSAL_EXPIRED: []}
    late = lates[approval.outcome.code]
    steps = [str(one.step) for one in race.trace.taken]
    assert approval.outcome.succeeded is (steps.index("day:begin") < steps.index("clock:clock:advance"))
    stack.expects(*late)
    stack.worker.run_until_idle(max_commands=1)
    failed = stack.rows.query(
        "SELECT result_json->>'reason' AS reason FROM commands WHERE command_type = 'approve_managed_proposal'"
    )
    assert [row["reason"] for row in failed] == late
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert (stack.asset("BTC").state, stack.asset("BTC").frozen) == (ManagedState.FROZEN, True)


@pytest.mark.own_worker_only("the worker is directed step by step, in this process")
@every_interleaving
def test_command_that_expires_while_it_is_taken_runs_in_time_or_not_at_all(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=between("clock", after="w1:update:commands", before="w1:update:commands:2")) as race:
        worker = race.start(stack.worker.directed("w1").run_once)
        race.start(stack.clock.advance, minutes(5), name="clock")

    # By how many of the worker's looks at the clock came before it moved: its claim, and the judgement of its handler.
    steps = [str(one.step) for one in race.trace.taken]
    in_time = steps[: steps.index("clock:clock:advance")]
    looks = sum(look in in_time for look in ("w1:update:commands", "w1:select:risk_settings"))
    stack.expects(*[(), (Reason.COMMAND_EXPIRED,), ()][looks])
    assert (stack.command(command).status, stack.log_of(command)) == ENDS[looks]
    assert worker.outcome.succeeded
