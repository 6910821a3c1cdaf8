"""`release_managed_asset`: out of management and frozen, with what is held now or with what was recorded.

Source: contract §5, §6 (strategy), §8.
"""

from dataclasses import replace
from decimal import Decimal

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import ReleaseAsset
from worker.contracts.transitions import require_path
from worker.handlers.managed_flow import ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.portfolio import read_portfolio

KEEP_FROZEN = "keep_frozen"


class ReleaseAssetHandler(ManagedHandler[ReleaseAsset]):
    """Ends the management of an asset; its proposal stays approved."""

    command_type = CommandType.RELEASE_MANAGED_ASSET
    verb = "release"
    payload_type = ReleaseAsset

    def plan(self, assignment: Assignment, payload: ReleaseAsset, standing: Standing) -> Plan:
        """The asset frozen.

        Raises: `Refusal` (`state/asset_not_in_baseline`, `state/illegal_transition`, `state/holding_unknown`);
        `TransientError` when the bot's portfolio cannot be read.
        """
        entry, holding = standing.require_in_baseline()
        path = require_path(standing.asset, entry.state, self.verb)
        keeps = payload.strategy == KEEP_FROZEN
        command_id = CommandId(assignment.command.command_id)
        return Plan(
            entry=ManagedAsset(state=path.ends_in, changed_at=assignment.now, command_id=command_id, proposal_id=None),
            holding=replace(
                holding,
                quantity=_held_now(assignment.home, standing.asset) if keeps else holding.quantity,
                frozen=True,
                recorded_at=assignment.now,
                command_id=command_id,
            ),
            seen={"strategy": payload.strategy},
        )


def _held_now(home: Home, asset: str) -> Decimal:
    """What the bot's portfolio holds of the asset.

    Raises: `Refusal` (`state/holding_unknown`) where it does not say, or says nothing is held.
    """
    portfolio = read_portfolio(home)
    quantity = None if portfolio is None else portfolio.positions.get(asset)
    if not quantity:
        found = "no portfolio" if portfolio is None else "no position in the portfolio"
        raise Refusal(
            Reason.HOLDING_UNKNOWN,
            f"to keep what is now held of {asset} frozen its quantity must be known, found {found}; start the bot, or "
            "choose return_to_baseline",
        )
    return quantity
