"""The words of the audit trail (R7).

Asked in review: all events that begin with `managed.` were exported for the auditors; was anything missing, or in it
that does not belong there?
Must hold: each click on managed holdings is told under `managed.` by its request and its outcome, refused outcomes,
cancellations and expiries too; events about profiles and baselines keep their own prefixes.
"""

from uuid import UUID

import pytest

from sim.story import REFERENCE_PROFILE, Stack, managed_payload, minutes
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import ManagedState

NOBODYS = UUID("00000000-0000-4000-8000-000000000001")
MANAGED = [one for one in CommandType if "managed" in one.value]
REQUESTED = [
    "managed.asset_proposal_requested",
    "managed.asset_approval_requested",
    "managed.asset_rejection_requested",
    "managed.asset_pause_requested",
    "managed.asset_resume_requested",
    "managed.asset_release_requested",
    "managed.asset_drift_flag_requested",
    "managed.promotion_dry_run_requested",
]
"""What a request of each managed type is called, in the order of the types."""

pytestmark = pytest.mark.needs_handlers("managed")


def _told(stack: Stack) -> list[str]:
    """The event types of the trail, in order."""
    return [row["event_type"] for row in stack.rows.query("SELECT event_type FROM audit_events ORDER BY id")]


def test_trail_of_a_day_keeps_each_family_under_its_own_prefix(stack: Stack) -> None:
    day = stack.operator("day")
    proposal = stack.given.managed_active("ETH")
    day.promote_dry_run("ETH", proposal, "balanced")
    day.apply_profile(REFERENCE_PROFILE)
    stack.given.flag_of_the_bot("ETH", found="1.5")
    stack.worker.run_until_idle(max_commands=3)
    day.resume("ETH")
    day.cancel(day.release("ETH", "keep_frozen"))
    stack.worker.run_once()
    day.release("ETH", "return_to_baseline")
    stack.worker.run_once()

    assert sorted(set(_told(stack))) == [
        "baseline.apply_requested",
        "baseline.apply_succeeded",
        "managed.asset_approval_requested",
        "managed.asset_approval_succeeded",
        "managed.asset_drift_flag_requested",
        "managed.asset_drift_flag_succeeded",
        "managed.asset_proposal_requested",
        "managed.asset_proposal_succeeded",
        "managed.asset_release_requested",
        "managed.asset_release_succeeded",
        "managed.asset_resume_requested",
        "managed.asset_resume_succeeded",
        "managed.command_cancelled",
        "managed.promotion_dry_run_requested",
        "managed.promotion_dry_run_succeeded",
        "profile.apply.dry_run_requested",
        "profile.created",
    ]


def test_managed_commands_that_fail_are_told_under_the_managed_prefix(stack: Stack) -> None:
    # No baseline was ever applied: nothing that is asked of an asset can be done.
    stack.expects(Reason.ASSET_NOT_IN_BASELINE, Reason.PROPOSAL_NOT_FOUND)
    commands = []
    for command_type in MANAGED:
        payload = managed_payload(command_type, "ETH", NOBODYS)
        commands.append(stack.bus.put_unchecked(command_type, "ETH", payload, requested_by=payload["requested_by"]))

    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))

    told = [stack.audit_of(command) for command in commands]
    assert told == [[event, event.replace("_requested", "_failed")] for event in REQUESTED]


def test_expiry_is_told_as_the_workers_own_without_a_command(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(minutes(15))
    stack.worker.run_once()

    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    (expiry,) = stack.rows.query("SELECT * FROM audit_events WHERE event_type = 'managed.proposal_expired'")
    assert (expiry["command_id"], expiry["user_id"]) == (None, None)
    assert (expiry["metadata"]["asset"], expiry["metadata"]["proposal_id"]) == ("ETH", str(proposal.proposal_id))
    assert [(move.actor, move.event_type) for move in stack.history_of("ETH")][-2:] == [
        ("worker", "managed.proposal_expired")
    ] * 2
