"""`pause_managed_asset` and `resume_managed_asset`: whether the bot may trade a managed asset just now.

Source: contract §4 (a resume expires), §5, §8.
"""

from dataclasses import replace

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.payloads import PauseAsset, ResumeAsset
from worker.contracts.transitions import AssetPath, require_path
from worker.handlers.managed_flow import ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.handlers.payload_check import require_unexpired


class PauseAssetHandler(ManagedHandler[PauseAsset]):
    """Takes an asset out of the bot's hands; its terms stay."""

    command_type = CommandType.PAUSE_MANAGED_ASSET
    verb = "pause"
    payload_type = PauseAsset

    def plan(self, assignment: Assignment, payload: PauseAsset, standing: Standing) -> Plan:
        """The asset paused. Raises: `Refusal` (`state/asset_not_in_baseline`, `state/illegal_transition`)."""
        return _moved(assignment, standing, self.verb)


class ResumeAssetHandler(ManagedHandler[ResumeAsset]):
    """Gives a paused asset back to the bot, or one flagged for drift, whose holding the operator thereby accepts."""

    command_type = CommandType.RESUME_MANAGED_ASSET
    verb = "resume"
    payload_type = ResumeAsset

    def plan(self, assignment: Assignment, payload: ResumeAsset, standing: Standing) -> Plan:
        """The asset active again.

        Raises: `Refusal` (`expiry/command_expired`, `state/asset_not_in_baseline`, `state/illegal_transition`).
        """
        require_unexpired(assignment)
        return _moved(assignment, standing, self.verb)


def _moved(assignment: Assignment, standing: Standing, verb: str) -> Plan:
    entry, holding = standing.require_in_baseline()
    path: AssetPath = require_path(standing.asset, entry.state, verb)
    return Plan(
        entry=replace(
            entry,
            state=path.ends_in,
            changed_at=assignment.now,
            command_id=CommandId(assignment.command.command_id),
        ),
        holding=holding,
    )
