"""`approve_managed_proposal`: its asset under management, on the terms of one variant. Source: contract §5, §6, §8."""

from dataclasses import replace

from sqlalchemy import Connection

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import ApproveProposal
from worker.contracts.proposals import Proposal
from worker.contracts.states import ManagedState
from worker.contracts.transitions import APPROVE
from worker.db.proposal_store import record_decision
from worker.guards.decisions import effective_terms, require_approvable
from worker.handlers.active_profile import settings_in_force
from worker.handlers.managed_flow import Done, ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.handlers.proposal_judgement import recalled_proposal, require_decidable
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset, Terms


class ApproveProposalHandler(ManagedHandler[ApproveProposal]):
    """Judges the operator's words again by the proposal's file; unfreezes the holding, whose quantity stays."""

    command_type = CommandType.APPROVE_MANAGED_PROPOSAL
    verb = "approve"
    payload_type = ApproveProposal

    def plan(self, assignment: Assignment, payload: ApproveProposal, standing: Standing) -> Plan:
        """The asset managed on the approved terms.

        Raises: `Refusal` as `require_decidable`, then as `require_approvable`, then `state/profile_not_active`,
        `state/too_many_positions` or `state/exposure_exceeded`; `TransientError`.
        """
        proposal = require_decidable(assignment, standing, payload.proposal_id, self.verb)
        _, holding = standing.require_in_baseline()
        variant = require_approvable(
            proposal,
            variant=payload.variant,
            overrides=payload.overrides,
            hard_confirm=payload.hard_confirm,
            confidence_override=payload.confidence_override,
        )
        terms = Terms(variant=variant.name.value, **effective_terms(variant, payload.overrides))
        _require_room_left(assignment, standing, proposal, terms)
        command_id = CommandId(assignment.command.command_id)
        return Plan(
            entry=ManagedAsset(
                state=APPROVE.ends_in,
                changed_at=assignment.now,
                command_id=command_id,
                proposal_id=proposal.proposal_id,
                terms=terms,
            ),
            holding=replace(holding, frozen=False, command_id=command_id),
            proposal=proposal,
            seen={"proposal_expires_at": proposal.expires_at, "confidence_override": payload.confidence_override},
        )

    def recall(self, home: Home, payload: ApproveProposal) -> Proposal | None:
        """The proposal that an earlier attempt approved."""
        return recalled_proposal(home, payload.proposal_id, asset=payload.asset)

    def write_rows(self, connection: Connection, done: Done[ApproveProposal]) -> None:
        """Effects: the proposal's row, decided."""
        if done.proposal is None:
            raise RuntimeError("an approval was done without its proposal")
        record_decision(
            connection,
            proposal=done.proposal,
            decision=ManagedState.APPROVED,
            decided_by=done.command.requested_by,
        )


def _require_room_left(assignment: Assignment, standing: Standing, proposal: Proposal, terms: Terms) -> None:
    """The profile's limits as they are now: the proposal may be older than the last approval, or than a limit."""
    settings = settings_in_force(assignment.connection, proposal.profile_id)
    limit, managed = settings["max_open_positions"], len(standing.managed_assets)
    if managed >= limit:
        raise Refusal(
            Reason.TOO_MANY_POSITIONS,
            f"expected fewer than {limit} assets under management, found {managed}; release one first",
        )
    limit, used = settings["max_total_exposure_pct"], standing.exposure_pct
    if used + terms.allocation_pct > limit:
        raise Refusal(
            Reason.EXPOSURE_EXCEEDED,
            f"expected at most {limit} of equity under management, found {used} and {terms.allocation_pct} more; "
            "release an asset first, choose a smaller variant, or lower its allocation",
        )
