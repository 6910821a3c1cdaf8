"""Where an asset stands, as services know it: by its history in the database. The handler reads the file.

Source: contract §6.
"""

import re

from sqlalchemy import Connection

from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import ManagedState
from worker.db.history_store import asset_state

_ASSET = re.compile(r"[A-Z0-9]{2,32}")


def require_asset_name(asset: object) -> str:
    """`asset`, once it has the form of an asset's name.

    Raises: `Refusal` (`state/asset_not_in_baseline`); what else was given may be anything and is not repeated.
    """
    if not isinstance(asset, str) or not _ASSET.fullmatch(asset):
        found = f"{len(asset)} other characters" if isinstance(asset, str) else f"a {type(asset).__name__}"
        raise Refusal(
            Reason.ASSET_NOT_IN_BASELINE,
            f"expected an asset of the baseline (2 to 32 capital letters or digits), found {found}; choose one",
        )
    return asset


def state_of(connection: Connection, asset: object) -> ManagedState:
    """Where `asset` stands.

    Raises: `Refusal` (`state/asset_not_in_baseline`) for an asset that nobody holds.
    """
    name = require_asset_name(asset)
    state = asset_state(connection, name)
    if state is None:
        raise not_in_baseline(name)
    return state


def not_in_baseline(asset: str) -> Refusal:
    """The refusal for an asset that nobody holds."""
    return Refusal(
        Reason.ASSET_NOT_IN_BASELINE,
        f"asset {asset} is not in the baseline; apply a baseline that holds it first",
    )
