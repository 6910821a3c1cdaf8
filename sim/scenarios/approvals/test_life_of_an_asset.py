"""One asset from frozen baseline to managed and back: every button once, by the real services and the real worker.

Asked in review: the asset came back frozen; through which states did it go, who moved it, and what is recorded now?
Must hold: each click makes one command and each command one move; files, rows, history and trail tell the same; what is
frozen at the end is what the operator chose.
"""

from decimal import Decimal

import pytest

from sim.story import Stack, minutes
from worker.contracts.managed_errors import HardConfirmMismatch
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

APPLIED = ["started", "{}.applied", "result_written"]


@pytest.mark.parametrize(
    ("strategy", "kept"), [("keep_frozen", Decimal("1.75")), ("return_to_baseline", Decimal("2"))], ids=str
)
def test_asset_goes_from_frozen_to_managed_and_back(stack: Stack, strategy: str, kept: Decimal) -> None:
    # 09:00  Two assets are held, both frozen; the bot holds a little less ETH than was once recorded.
    stack.given.reference_profile()
    stack.given.market()
    stack.given.portfolio({"ETH": "1.75"})
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    day, night = stack.operator("day"), stack.operator("night")

    # 09:01  The day operator asks for a proposal, and the worker makes one.
    stack.clock.advance(minutes(1))
    requested = day.request("ETH", intent="Let it work.")
    assert stack.proposal(requested).state is ManagedState.PROPOSAL_PENDING
    stack.worker.run_once()
    proposal = stack.proposal(requested)
    assert (proposal.state, stack.asset("ETH").state) == (ManagedState.RISK_PROPOSED, ManagedState.RISK_PROPOSED)
    assert proposal.expires_at == stack.clock.now() + minutes(15)

    # 09:06  The night operator approves: the asset is no longer frozen, and stands under the approved terms.
    stack.clock.advance(minutes(5))
    approved = night.approve(proposal, "balanced", hard_confirm="ETH:balanced")
    stack.worker.run_once()
    managed = stack.asset("ETH")
    assert (managed.state, managed.frozen, managed.quantity) == (ManagedState.MANAGED_ACTIVE, False, Decimal("2"))
    assert managed.terms is not None
    assert (managed.terms.variant, managed.command_id) == ("balanced", approved.command_id)
    decided = stack.proposal(proposal)
    assert (decided.state, decided.decision, decided.decided_by) == (ManagedState.APPROVED, "approved", night.user_id)

    # 09:07  It is paused, and resumed.
    stack.clock.advance(minutes(1))
    paused = day.pause("ETH")
    stack.worker.run_once()
    assert stack.asset("ETH").state is ManagedState.PAUSED
    resumed = day.resume("ETH")
    stack.worker.run_once()
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE

    # 09:08  It is given back.
    stack.clock.advance(minutes(1))
    released = day.release("ETH", strategy)
    stack.worker.run_once()

    frozen = stack.asset("ETH")
    assert (frozen.state, frozen.frozen, frozen.quantity) == (ManagedState.FROZEN, True, kept)
    assert (frozen.terms, frozen.proposal_id) == (None, None)
    assert stack.asset("BTC").state is ManagedState.FROZEN
    assert stack.path_of("ETH") == [
        "frozen",
        *("proposal_pending", "risk_proposed", "approved", "managed_active"),
        *("paused", "managed_active", "released", "frozen"),
    ]
    assert [move.actor for move in stack.history_of("ETH")] == [
        *["user:23"] * 2,
        *["user:24"] * 2,
        *["user:23"] * 4,
    ]
    for command in (requested, approved, paused, resumed, released):
        assert stack.command(command).status is CommandStatus.SUCCEEDED
        assert stack.log_of(command) == [step.format(command.command_type) for step in APPLIED]


def test_trail_of_a_life_names_each_click_and_what_came_of_it(stack: Stack) -> None:
    day = stack.operator("day")
    proposal = stack.given.risk_proposed("ETH")

    approved = day.approve(proposal, "conservative")
    stack.worker.run_once()
    paused = day.pause("ETH")
    stack.worker.run_once()
    released = day.release("ETH", "return_to_baseline")
    stack.worker.run_once()

    assert [stack.audit_of(command) for command in (approved, paused, released)] == [
        ["managed.asset_approval_requested", "managed.asset_approval_succeeded"],
        ["managed.asset_pause_requested", "managed.asset_pause_succeeded"],
        ["managed.asset_release_requested", "managed.asset_release_succeeded"],
    ]


def test_promotion_is_only_looked_at(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    looked_at = stack.operator("day").promote_dry_run("ETH", proposal, "aggressive")

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(looked_at).status is CommandStatus.SUCCEEDED
    assert stack.log_of(looked_at) == [
        "started",
        "dry_run_promote_managed.dry_run_started",
        "dry_run_promote_managed.dry_run_succeeded",
        "result_written",
    ]
    assert stack.proposal(proposal).state is ManagedState.RISK_PROPOSED


def test_asset_that_drifted_is_flagged_and_resumed_by_an_operator(stack: Stack) -> None:
    stack.given.drift_flagged("ETH")
    assert stack.asset("ETH").state is ManagedState.DRIFT_FLAGGED

    stack.operator("night").resume("ETH")
    stack.worker.run_once()

    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE
    assert [move.actor for move in stack.history_of("ETH")][-2:] == ["bot", "user:24"]


def test_proposal_that_is_rejected_leaves_the_asset_frozen_and_free_for_the_next(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("BTC", expires_in=minutes(4))
    stack.operator("day").reject(proposal, reason="spread too wide")
    stack.worker.run_once()

    again = stack.operator("day").request("BTC")
    stack.worker.run_once()

    assert stack.proposal(proposal).state is ManagedState.REJECTED
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED
    assert stack.asset("BTC").proposal_id == stack.proposal(again).proposal_id


def test_approval_is_typed_letter_by_letter(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    page = stack.operator("day").open_proposal(proposal)

    with pytest.raises(HardConfirmMismatch):
        stack.operator("day").approve(page, "balanced", hard_confirm="eth:balanced")
    typed = stack.operator("day").approve(page, "balanced", hard_confirm="ETH:balanced")
    stack.worker.run_once()

    assert stack.command(typed).status is CommandStatus.SUCCEEDED
