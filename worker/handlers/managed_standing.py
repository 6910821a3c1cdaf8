"""Where one asset stands in the two files, and the one way to move it: both files at once.

Source: contract §8, "Two files, one change".
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from worker.contracts.commands import CommandId
from worker.contracts.errors import Reason, Refusal
from worker.contracts.transitions import MANAGED
from worker.readers.baseline import BaselineHolding
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset, ManagedAssets
from worker.readers.pair import Pair, read_pair
from worker.writers.home_lock import HomeLock
from worker.writers.two_files import change_both


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What both files say of one asset at one generation; None where a file does not name it."""

    asset: str
    pair: Pair
    entry: ManagedAsset | None
    holding: BaselineHolding | None

    @property
    def managed_assets(self) -> tuple[ManagedAsset, ...]:
        """The entries of all assets that are under management."""
        managed_state = self.pair.managed_state
        entries = () if managed_state is None else managed_state.assets.values()
        return tuple(entry for entry in entries if entry.state in MANAGED)

    @property
    def exposure_pct(self) -> Decimal:
        """The share of equity (of 1) that all assets under management were given."""
        return sum((one.terms.allocation_pct for one in self.managed_assets if one.terms), start=Decimal(0))

    def require_in_baseline(self) -> tuple[ManagedAsset, BaselineHolding]:
        """The asset's entries in both files.

        Raises: `Refusal` (`state/asset_not_in_baseline`).
        """
        if self.entry is None or self.holding is None:
            raise Refusal(
                Reason.ASSET_NOT_IN_BASELINE,
                f"asset {self.asset} is not in the baseline of this home; apply a baseline that holds it first",
            )
        return self.entry, self.holding


def look(home: Home, asset: str) -> Standing:
    """Where `asset` stands now. Call it under the home lock, after recovery.

    Raises: `PairUnsettled`, `DamagedFile`, `UnreadableFile`.
    """
    return standing_in(read_pair(home), asset)


def standing_in(pair: Pair, asset: str) -> Standing:
    """Where `asset` stands in `pair`."""
    return Standing(
        asset=asset,
        pair=pair,
        entry=None if pair.managed_state is None else pair.managed_state.assets.get(asset),
        holding=None if pair.baseline is None else pair.baseline.holdings.get(asset),
    )


def change_asset(
    home: Home,
    lock: HomeLock,
    *,
    before: Standing,
    entry: ManagedAsset,
    holding: BaselineHolding,
    command_id: CommandId,
    attempt: int,
) -> Standing:
    """The asset with its new entries, every other one as it was; both files carry the next generation.

    Raises: as `change_both`.
    Effects: both files, durable on return.
    """
    baseline, managed_state = before.pair.baseline, before.pair.managed_state
    if baseline is None or managed_state is None:
        raise RuntimeError(f"asset {before.asset} cannot change before there is a baseline")
    generation = before.pair.generation + 1
    pair = change_both(
        home,
        lock,
        command_id=command_id,
        attempt=attempt,
        before=before.pair,
        baseline=replace(baseline, generation=generation, holdings={**baseline.holdings, before.asset: holding}),
        managed_state=ManagedAssets(generation=generation, assets={**managed_state.assets, before.asset: entry}),
    )
    return standing_in(pair, before.asset)
