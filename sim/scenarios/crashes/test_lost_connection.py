"""A connection that breaks in the middle of a click.

Asked in review: the network went away while the operator approved; the page said nobody knows. Was the approval taken,
and what does a second click on the same page do?
Must hold: the click is a whole or nothing; where its commit was under way it is called unknown, never failed; clicking
the same again finds out, and leaves one command.
"""

import pytest

from sim.story import OutcomeKind, Stack, every_cut
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")


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
