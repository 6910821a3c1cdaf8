"""Three ways to take a proposal, in ascending risk: how much, where it is given up, where it is closed with a gain."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from worker.contracts.proposals import Variant, VariantName
from worker.risk.usdt import usdt

SHARE_STEP = Decimal("0.000001")
CAP_STEP = Decimal("0.000000000000000001")
QUANTITY_STEP = Decimal("0.00000001")
TARGET_STEP = Decimal("0.0000001")
"""As fine as a stop, which is a volatility of six places times a multiple of one."""

MAX_STOP_LOSS = Decimal("0.9")
"""A stop further away than this is none; it also keeps the stop's price above zero."""

REWARD = Decimal(2)
"""A gain is taken at twice the distance of the stop, fees on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What all variants share: price and equity in USDT, volatility and the exposure left as shares, the settings."""

    price: Decimal
    equity: Decimal
    volatility: Decimal
    exposure_left: Decimal
    risk: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Appetite:
    """How much risk a variant takes: its stop in daily moves, its share of the risk per trade, its tier."""

    name: VariantName
    stop_in_moves: Decimal
    risk_share: Decimal
    tier_key: str


_CONSERVATIVE = _Appetite(
    name=VariantName.CONSERVATIVE,
    stop_in_moves=Decimal("1.5"),
    risk_share=Decimal("0.5"),
    tier_key="tier_low_allocation_pct",
)
_BALANCED = _Appetite(
    name=VariantName.BALANCED,
    stop_in_moves=Decimal("2.0"),
    risk_share=Decimal("0.75"),
    tier_key="tier_mid_allocation_pct",
)
_AGGRESSIVE = _Appetite(
    name=VariantName.AGGRESSIVE,
    stop_in_moves=Decimal("2.5"),
    risk_share=Decimal("1.0"),
    tier_key="tier_high_allocation_pct",
)


def variants_of(basis: Basis) -> tuple[Variant, Variant, Variant]:
    """The three variants. The caller has set the engine's decimal context."""
    return _variant(basis, _CONSERVATIVE), _variant(basis, _BALANCED), _variant(basis, _AGGRESSIVE)


def _variant(basis: Basis, appetite: _Appetite) -> Variant:
    stop = min(appetite.stop_in_moves * basis.volatility, MAX_STOP_LOSS)
    target = (REWARD * stop + basis.risk["fee_buffer_pct"]).quantize(TARGET_STEP, rounding=ROUND_CEILING)
    allocation = _allocation(basis, appetite, stop=stop)
    value = usdt(basis.equity * allocation, rounding=ROUND_FLOOR)
    return Variant(
        name=appetite.name,
        allocation_pct=allocation,
        allocation_cap_pct=basis.risk[appetite.tier_key].quantize(CAP_STEP, rounding=ROUND_FLOOR),
        position_value_usdt=value,
        quantity=(value / basis.price).quantize(QUANTITY_STEP, rounding=ROUND_FLOOR),
        stop_loss_pct=stop,
        stop_loss_price=basis.price * (1 - stop),
        take_profit_pct=target,
        take_profit_price=basis.price * (1 + target),
        # Exact, so that rounding cannot lift it above the risk per trade.
        risk_pct=allocation * stop,
        meets_minimum=value >= basis.risk["min_position_value_usdt"],
    )


def _allocation(basis: Basis, appetite: _Appetite, *, stop: Decimal) -> Decimal:
    """The largest share of equity that every limit allows, rounded down."""
    by_risk = appetite.risk_share * basis.risk["max_risk_per_trade_pct"] / stop
    allowed = (
        basis.risk[appetite.tier_key],
        by_risk,
        basis.exposure_left,
        # Implied by the rules between settings; named here because it is a limit of its own.
        1 - basis.risk["cash_reserve_pct"],
    )
    return min(allowed).quantize(SHARE_STEP, rounding=ROUND_FLOOR)
