"""`reject_managed_proposal`: its asset frozen again, the proposal final. Source: contract §5, §6, §8."""

from sqlalchemy import Connection

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import Reason
from worker.contracts.payloads import RejectProposal
from worker.contracts.proposals import Proposal
from worker.contracts.states import ManagedState
from worker.contracts.transitions import REJECT
from worker.db.proposal_store import record_decision
from worker.guards.operator_words import require_words
from worker.handlers.managed_flow import Done, ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.handlers.proposal_judgement import recalled_proposal, require_decidable
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset


class RejectProposalHandler(ManagedHandler[RejectProposal]):
    """Takes the operator's no for an open proposal."""

    command_type = CommandType.REJECT_MANAGED_PROPOSAL
    verb = "reject"
    payload_type = RejectProposal

    def plan(self, assignment: Assignment, payload: RejectProposal, standing: Standing) -> Plan:
        """The asset frozen again.

        Raises: `Refusal` as `require_decidable`, then `validation/reason_required` or `validation/secret_found`;
        `TransientError`.
        """
        proposal = require_decidable(assignment, standing, payload.proposal_id, self.verb)
        require_words(
            payload.reason,
            name="reason",
            reason=Reason.REASON_REQUIRED,
            subject=f"the rejection of proposal {proposal.proposal_id}",
        )
        _, holding = standing.require_in_baseline()
        return Plan(
            entry=ManagedAsset(
                state=REJECT.ends_in,
                changed_at=assignment.now,
                command_id=CommandId(assignment.command.command_id),
                proposal_id=None,
            ),
            holding=holding,
            proposal=proposal,
            seen={"proposal_expires_at": proposal.expires_at},
        )

    def recall(self, home: Home, payload: RejectProposal) -> Proposal | None:
        """The proposal that an earlier attempt rejected."""
        return recalled_proposal(home, payload.proposal_id, asset=payload.asset)

    def write_rows(self, connection: Connection, done: Done[RejectProposal]) -> None:
        """Effects: the proposal's row, decided."""
        if done.proposal is None:
            raise RuntimeError("a rejection was done without its proposal")
        record_decision(
            connection,
            proposal=done.proposal,
            decision=ManagedState.REJECTED,
            decided_by=done.command.requested_by,
        )
