"""Two operators decide about one proposal at the same moment.

Asked in review: approve and reject were clicked within the same millisecond; could both have been taken?
Must hold: in every order of their statements exactly one decision wins, the other operator is told so, and the worker
carries out that one; the same decision sent twice by one operator is one command.
"""

import pytest

from sim.story import CreatedCommand, Stack, every_interleaving
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")


def _decided(stack: Stack, command: CreatedCommand) -> tuple[CommandStatus, str, int | None]:
    """How the worker leaves the winner's command and its proposal, once every command has run."""
    stack.worker.run_until_idle(max_commands=2)
    (row,) = stack.rows.query("SELECT decision, decided_by_user_id FROM managed_proposals")
    return stack.command(command).status, row["decision"], row["decided_by_user_id"]


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
    decision = {approval.name: ("approved", day.user_id), rejection.name: ("rejected", night.user_id)}
    assert _decided(stack, winner.value) == (CommandStatus.SUCCEEDED, *decision[winner.name])
    ended = {approval.name: ManagedState.MANAGED_ACTIVE, rejection.name: ManagedState.FROZEN}
    assert stack.asset("BTC").state is ended[winner.name]


@every_interleaving
def test_two_approvals_have_exactly_one_winner(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("BTC")
    day, night = stack.operator("day"), stack.operator("night")
    pages = day.open_proposal(proposal), night.open_proposal(proposal)

    # Each approves another variant.
    with stack.race() as race:
        race.start(day.approve, pages[0], "balanced", hard_confirm="BTC:balanced")
        race.start(night.approve, pages[1], "conservative", hard_confirm="BTC:conservative")

    winner, loser = race.winner_and_loser()
    assert loser.outcome.code == Reason.ALREADY_DECIDED
    user = stack.operator(winner.name).user_id
    assert _decided(stack, winner.value) == (CommandStatus.SUCCEEDED, "approved", user)
    terms = stack.asset("BTC").terms
    assert terms is not None
    assert terms.variant == {"day": "balanced", "night": "conservative"}[winner.name]


@every_interleaving
def test_two_rejections_have_exactly_one_winner(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("BTC")
    day, night = stack.operator("day"), stack.operator("night")
    pages = day.open_proposal(proposal), night.open_proposal(proposal)

    with stack.race() as race:
        race.start(day.reject, pages[0], reason="spread too wide")
        race.start(night.reject, pages[1], reason="too little data")

    winner, loser = race.winner_and_loser()
    assert loser.outcome.code == Reason.ALREADY_DECIDED
    user = stack.operator(winner.name).user_id
    assert _decided(stack, winner.value) == (CommandStatus.SUCCEEDED, "rejected", user)
    assert stack.asset("BTC").state is ManagedState.FROZEN


@every_interleaving
def test_one_decision_sent_from_two_tabs_is_one_command(stack: Stack) -> None:
    # One operator, two tabs, the same button in both: nobody is told off, and nothing happens twice.
    proposal = stack.given.risk_proposed("BTC")
    day = stack.operator("day")
    pages = day.open_proposal(proposal), day.open_proposal(proposal)

    with stack.race() as race:
        tabs = [race.start(day.approve, page, "balanced", hard_confirm="BTC:balanced") for page in pages]

    first, second = (tab.value for tab in tabs)
    assert first.command_id == second.command_id
    assert sorted([first.created, second.created]) == [False, True]
    assert _decided(stack, first) == (CommandStatus.SUCCEEDED, "approved", day.user_id)
    assert stack.audit_of(first).count("managed.asset_approval_requested") == 1
