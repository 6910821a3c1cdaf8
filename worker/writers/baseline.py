"""The bytes of the two files that change together. Source: contract §2, §8.

Each encoder reads its own output back before giving it away: what cannot be read exactly as it was meant is never
written.
"""

from pathlib import Path
from typing import Any

from worker.contracts.states import ManagedState
from worker.readers.baseline import SCHEMA_VERSION as BASELINE_VERSION
from worker.readers.baseline import Baseline, decode_baseline
from worker.readers.document import DamagedFile
from worker.readers.managed_state import SCHEMA_VERSION as MANAGED_STATE_VERSION
from worker.readers.managed_state import ManagedAssets, Terms, decode_managed_state
from worker.writers.document import encode_document


def encode_baseline(baseline: Baseline) -> bytes:
    """The content of `baseline_holdings.json` for `baseline`; decoding it gives an equal `Baseline`.

    Raises: `ValueError` for a value the schema has no place for (negative quantity, a time without a zone, …).
    """
    content = encode_document(
        {
            "schema_version": BASELINE_VERSION,
            "generation": baseline.generation,
            "recorded_at": baseline.recorded_at,
            "command_id": baseline.command_id,
            "holdings": {
                asset: {
                    "quantity": holding.quantity,
                    "frozen": holding.frozen,
                    "recorded_at": holding.recorded_at,
                    "command_id": holding.command_id,
                }
                for asset, holding in baseline.holdings.items()
            },
        }
    )
    _require_same(baseline, _read_back(decode_baseline, content))
    return content


def encode_managed_state(managed_state: ManagedAssets) -> bytes:
    """The content of `managed_state.json` for `managed_state`; decoding it gives an equal `ManagedAssets`.

    Raises: `ValueError` for a value the schema has no place for.
    """
    content = encode_document(
        {
            "schema_version": MANAGED_STATE_VERSION,
            "generation": managed_state.generation,
            "assets": {
                asset: {
                    "state": ManagedState(entry.state).value,
                    "changed_at": entry.changed_at,
                    "command_id": entry.command_id,
                    "proposal_id": entry.proposal_id,
                    **({} if entry.terms is None else {"terms": _terms_document(entry.terms)}),
                }
                for asset, entry in managed_state.assets.items()
            },
        }
    )
    _require_same(managed_state, _read_back(decode_managed_state, content))
    return content


def _terms_document(terms: Terms) -> dict[str, Any]:
    return {
        "variant": terms.variant,
        "allocation_pct": terms.allocation_pct,
        "stop_loss_pct": terms.stop_loss_pct,
        "take_profit_pct": terms.take_profit_pct,
    }


def _read_back(decode: Any, content: bytes) -> Any:
    try:
        return decode(content, path=Path("(not yet written)"))
    except DamagedFile as damaged:
        raise ValueError(f"the schema has no place for the value at {damaged.place}: {damaged.problem}") from damaged


def _require_same(meant: object, read: object) -> None:
    if meant != read:
        raise ValueError(f"expected to read back what was to be written, found a different {type(meant).__name__}")
