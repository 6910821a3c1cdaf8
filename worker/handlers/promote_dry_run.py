"""`dry_run_promote_managed`: whether a variant of a proposal could be promoted; it changes nothing.

Like every dry run it leaves exactly four log rows, takes no lock and writes no file. Source: contract §4, §5, §7.
"""

from worker.contracts.commands import REGISTRY, CommandType
from worker.contracts.errors import Refusal
from worker.contracts.payloads import PromoteDryRun
from worker.contracts.states import CommandStatus
from worker.db.bus_store import AuditRow, ClaimedCommand
from worker.guards.decisions import require_variant
from worker.guards.secrets import scrub
from worker.handlers.outcome import Assignment, Outcome, note, refused
from worker.handlers.payload_check import check_payload, require_unexpired
from worker.handlers.proposal_judgement import existing_proposal
from worker.handlers.requester import require_requester
from worker.readers.home import Home

_TYPE = CommandType.DRY_RUN_PROMOTE_MANAGED
_STARTED = note(f"{_TYPE.value}.dry_run_started")
_EVENT = REGISTRY[_TYPE].requested_event.removesuffix("_requested")


class PromoteDryRunHandler:
    """Judges by the proposal's file, which never changes."""

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        """False: nothing of a dry run ever reaches a file."""
        return False

    def run(self, assignment: Assignment) -> Outcome:
        """Succeeded with the fixed result of a dry run, or refused with the first rule that says no.

        Raises: `TransientError` when the proposal's file is damaged or cannot be read.
        """
        try:
            payload = check_payload(assignment, PromoteDryRun)
            require_unexpired(assignment)
            require_requester(assignment)
            proposal = existing_proposal(assignment.home, payload.proposal_id, asset=payload.asset)
            variant = require_variant(proposal, payload.variant)
        except Refusal as refusal:
            return self.failure(refusal, assignment.command)
        told = {"asset": proposal.asset, "proposal_id": str(proposal.proposal_id), "variant": variant.name.value}
        return Outcome(
            status=CommandStatus.SUCCEEDED,
            result={
                "ok": True,
                "dry_run": True,
                "validated": True,
                **told,
                "would_apply": False,
                "runtime_mutation": False,
            },
            log_rows=(_STARTED, note(f"{_TYPE.value}.dry_run_succeeded")),
            audit_rows=(AuditRow(event_type=f"{_EVENT}_succeeded", metadata=told),),
        )

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """A refused dry run leaves the same number of rows as one that succeeded."""
        reason = {"reason": refusal.reason.value}
        return refused(
            refusal,
            log_rows=(_STARTED, note(f"{_TYPE.value}.dry_run_rejected", reason)),
            audit_rows=(AuditRow(event_type=f"{_EVENT}_failed", metadata=scrub({"asset": command.subject, **reason})),),
        )
