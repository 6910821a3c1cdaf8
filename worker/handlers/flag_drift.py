"""`flag_managed_drift`: the bot's own word that it holds something else than it should. Source: contract §5, §6, §8."""

from dataclasses import replace
from decimal import Decimal

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import FlagDrift
from worker.contracts.transitions import require_path
from worker.guards.drift_evidence import drift_problems
from worker.guards.limits import refuse
from worker.handlers.managed_flow import ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.handlers.requester import require_no_requester


class FlagDriftHandler(ManagedHandler[FlagDrift]):
    """Stops the management of an asset until an operator has looked."""

    command_type = CommandType.FLAG_MANAGED_DRIFT
    verb = "flag drift"
    payload_type = FlagDrift

    def require_requester(self, assignment: Assignment, payload: FlagDrift) -> None:
        """Nothing for the bot's own word. Raises: `Refusal` (`validation/requester_mismatch`)."""
        require_no_requester(assignment, payload.requested_by)

    def plan(self, assignment: Assignment, payload: FlagDrift, standing: Standing) -> Plan:
        """The asset flagged.

        Raises: `Refusal` (`validation/drift_evidence_malformed`, `state/no_drift`, `state/asset_not_in_baseline`,
        `state/illegal_transition`).
        """
        expected, found = Decimal(payload.expected), Decimal(payload.found)
        subject = f"the drift evidence for {payload.asset}"
        problems = drift_problems(expected=expected, found=found, generation=payload.generation)
        refuse(Reason.DRIFT_EVIDENCE_MALFORMED, problems, subject=subject)
        if expected == found:
            raise Refusal(Reason.NO_DRIFT, f"asset {payload.asset} is held as expected; there is no drift to flag")
        entry, holding = standing.require_in_baseline()
        if payload.generation > standing.pair.generation:
            problems = (f"generation {payload.generation} is not reached, the files are at {standing.pair.generation}",)
            refuse(Reason.DRIFT_EVIDENCE_MALFORMED, problems, subject=subject)
        path = require_path(standing.asset, entry.state, self.verb)
        return Plan(
            entry=replace(
                entry,
                state=path.ends_in,
                changed_at=assignment.now,
                command_id=CommandId(assignment.command.command_id),
            ),
            holding=holding,
            seen={"expected": expected, "found": found, "evidence_generation": payload.generation},
        )
