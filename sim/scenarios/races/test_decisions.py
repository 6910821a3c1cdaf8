"""Two operators decide about one proposal at the same moment.

Asked in review: approve and reject were clicked within the same millisecond; could both have been taken?
Must hold: in every order of their statements exactly one decision wins, and the other operator is told so.
"""

from sim.story import Stack, every_interleaving
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState


@every_interleaving
def test_approve_and_reject_have_exactly_one_winner(stack: Stack) -> None:
    # 09:00  A proposal is open; two operators have its page before them.
    proposal = stack.given.risk_proposed("BTC")
    day, night = stack.operator("day"), stack.operator("night")
    approve_page, reject_page = day.open_proposal(proposal), night.open_proposal(proposal)

    # Both click.
    with stack.race() as race:
        approval = race.start(day.approve, approve_page, "balanced", hard_confirm="BTC:balanced")
        rejection = race.start(night.reject, reject_page, reason="spread too wide")

    winner, loser = race.winner_and_loser()
    assert loser.outcome.code == Reason.ALREADY_DECIDED
    stack.worker.run_until_idle(max_commands=2)
    ended = {approval.name: ManagedState.APPROVED, rejection.name: ManagedState.REJECTED}
    assert stack.command(winner.value).status is CommandStatus.SUCCEEDED
    assert stack.proposal(proposal).state is ended[winner.name]
