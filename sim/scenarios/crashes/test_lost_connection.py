"""A connection that breaks in the middle of a click or of a command.

Asked in review: the network went away while the operator approved; the page said nobody knows. Was the approval taken,
and what does a second click on the same page do?
Must hold: the click is a whole or nothing; where its commit was under way it is called unknown, never failed; clicking
the same again finds out, and leaves one command. A worker that loses its connection leaves its command to the next one.
"""

import pytest

from sim.story import OutcomeKind, Stack, every_cut
from worker.contracts.states import CommandStatus, ManagedState

needs_managed = pytest.mark.needs_handlers("managed")
own_worker = pytest.mark.own_worker_only("a worker is cut off at each step by hooks that only a Python process takes")


@needs_managed
@every_cut
def test_approval_clicked_while_the_connection_breaks_is_taken_once(stack: Stack) -> None:
    # 09:00  A proposal is open, and its page is before the operator, whose connection breaks during the click.
    proposal = stack.given.risk_proposed("ETH")
    page = stack.operator("day").open_proposal(proposal)
    with stack.race() as race:
        click = race.start(stack.operator("day").approve, page, "balanced", confidence_override=True)

    # Nothing is said for certain where the commit was under way.
    was_committing = click.cut_at is not None and click.cut_at.verb == "commit"
    certain = {OutcomeKind.SUCCEEDED, OutcomeKind.FAILED}
    assert click.outcome.kind in ({OutcomeKind.UNKNOWN} if was_committing else certain)

    # The same button of the same page once more: whatever became of the first click, there is one command now.
    again = stack.operator("day").approve(page, "balanced", confidence_override=True)
    stack.worker.run_once()
    assert stack.command(again).status is CommandStatus.SUCCEEDED
    assert [row["command_type"] for row in stack.rows.dump("commands")].count("approve_managed_proposal") == 1
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE
    assert stack.path_of("ETH")[-2:] == ["approved", "managed_active"]


@needs_managed
@own_worker
@every_cut
def test_worker_cut_off_at_every_step_leaves_its_command_to_the_next(stack: Stack) -> None:
    # 09:00  An approval waits.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced", confidence_override=True)

    # The worker's connection is cut at one of its steps. 61 seconds later another worker comes.
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert (stack.asset("ETH").state, stack.asset("ETH").frozen) == (ManagedState.MANAGED_ACTIVE, False)
    assert stack.log_of(command).count("result_written") == 1
