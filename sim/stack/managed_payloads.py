"""Payloads of managed commands as a broken producer, or a click of yesterday, would put them past every service."""

from decimal import Decimal
from typing import Any

from sim.stack.given import CAST
from sim.stack.managed_views import AnyProposal, proposal_id_in
from worker.contracts.commands import CommandType

VARIANT = "balanced"

_ABOUT_A_PROPOSAL = frozenset(
    {
        CommandType.REQUEST_MANAGED_PROPOSAL,
        CommandType.APPROVE_MANAGED_PROPOSAL,
        CommandType.REJECT_MANAGED_PROPOSAL,
        CommandType.DRY_RUN_PROMOTE_MANAGED,
    }
)


def managed_payload(
    command_type: CommandType, asset: str, proposal: AnyProposal | None = None, **changed: Any
) -> dict[str, Any]:
    """A payload of that type in which nothing is wrong by itself, unsealed, with fields replaced.

    `proposal` is for the types that are about one. Quantities are `Decimal`, in units of the asset.

    Raises: `LookupError` for a type that is about a proposal when none is given.
    """
    fields: dict[str, Any] = {
        "asset": asset,
        "requested_by": CAST["day"][0],
        "dry_run": True,
        "environment": "testnet",
        "exchange_connection_id": None,
    }
    if command_type in _ABOUT_A_PROPOSAL:
        if proposal is None:
            raise LookupError(f"a payload of {command_type.value} is about a proposal; name one")
        fields["proposal_id"] = str(proposal_id_in(proposal))
    return {**fields, **_own_fields(command_type, asset), **changed}


def _own_fields(command_type: CommandType, asset: str) -> dict[str, Any]:
    """What only this type carries."""
    match command_type:
        case CommandType.REQUEST_MANAGED_PROPOSAL:
            return {"intent": "Manage it."}
        case CommandType.APPROVE_MANAGED_PROPOSAL:
            told = {"variant": VARIANT, "overrides": {}, "hard_confirm": f"{asset}:{VARIANT}"}
            return {**told, "confidence_override": False}
        case CommandType.REJECT_MANAGED_PROPOSAL:
            return {"reason": "spread too wide"}
        case CommandType.RELEASE_MANAGED_ASSET:
            return {"strategy": "return_to_baseline"}
        case CommandType.FLAG_MANAGED_DRIFT:
            # The bot's own word, which no user makes.
            return {"requested_by": None, "expected": Decimal(2), "found": Decimal("1.5"), "generation": 1}
        case CommandType.DRY_RUN_PROMOTE_MANAGED:
            return {"variant": VARIANT}
        case _:
            return {}
