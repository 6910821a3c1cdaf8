"""Managed commands made past their services: between a click and its run the world may have moved."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.worker.managed_worlds import World

TYPES = {
    "request": "request_managed_proposal",
    "approve": "approve_managed_proposal",
    "reject": "reject_managed_proposal",
    "pause": "pause_managed_asset",
    "resume": "resume_managed_asset",
    "release": "release_managed_asset",
    "flag drift": "flag_managed_drift",
}


def fields_of(verb: str, proposal_id: UUID, **further: Any) -> dict[str, Any]:
    """A payload for ETH that asks for nothing that is wrong in itself."""
    asset, of_proposal = {"asset": "ETH"}, {"asset": "ETH", "proposal_id": str(proposal_id)}
    fields: dict[str, dict[str, Any]] = {
        "request": {**of_proposal, "intent": "hold"},
        "approve": {
            **of_proposal,
            "variant": "balanced",
            "overrides": {},
            "hard_confirm": "ETH:balanced",
            "confidence_override": True,
        },
        "reject": {**of_proposal, "reason": "no"},
        "pause": asset,
        "resume": asset,
        "release": {**asset, "strategy": "return_to_baseline"},
        "flag drift": {**asset, "expected": 2, "found": Decimal("1.5"), "generation": 1},
    }
    return {**fields[verb], **further}


def ask(world: World, verb: str, proposal_id: UUID, **further: Any) -> UUID:
    """The command, made past its service and run."""
    user = None if verb == "flag drift" else 23
    command_id = world.put(TYPES[verb], user=user, **fields_of(verb, proposal_id, **further))
    world.run()
    return command_id


def message_of(world: World, command_id: UUID) -> str:
    """The sentence that the command failed with, after its reason."""
    (row,) = world.rows("SELECT error_message FROM commands WHERE command_id = %s", command_id)
    return str(row["error_message"])


def forgotten_proposal(world: World) -> UUID:
    """A proposal whose file is there and still open by its time, and of whose ending no row tells any more."""
    proposal_id = world.proposed()
    world.reject(proposal_id)
    world.run()
    world.rows("DELETE FROM managed_proposals WHERE proposal_id = %s", proposal_id)
    return proposal_id
