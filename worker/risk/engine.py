"""RiskProposalEngine V1: a pure function from holdings, market and risk settings to three ways of taking a proposal.

No clock, no chance, no file, no order. All arithmetic is decimal, in one context whatever the caller's is, exact but
for divisions; what is rounded is rounded to the side that puts less at risk or claims less.
Source: contract §8, "Engine".
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from itertools import pairwise
from types import MappingProxyType

from worker.contracts.errors import Reason, Refusal
from worker.contracts.proposals import ENGINE_VERSION, Assessment, SyntheticEntry
from worker.guards.limits import cross_field_problems, range_problems, refuse
from worker.risk.confidence import confidence_of
from worker.risk.inputs import CONTEXT, QUOTE, AssetMarket, EngineInputs
from worker.risk.usdt import usdt
from worker.risk.variants import Basis, variants_of

MIN_CLOSES = 2
"""Two closes make one daily move; fewer make none."""

VOLATILITY_STEP = Decimal("0.000001")


def assess(inputs: EngineInputs) -> Assessment:
    """What the engine makes of `inputs`; equal inputs give an equal assessment.

    Raises: `Refusal`: `state/market_data_insufficient` when the asset has no price, fewer than two closes, or closes
    that never move; `validation/value_out_of_range` and `validation/cross_field_violation` for risk settings no profile
    may have, and for amounts beyond what a document has room for.
    """
    subject = f"the profile whose risk settings the proposal for {inputs.asset} uses"
    refuse(Reason.VALUE_OUT_OF_RANGE, range_problems(inputs.risk), subject=subject)
    refuse(Reason.CROSS_FIELD_VIOLATION, cross_field_problems(inputs.risk), subject=subject)
    market = _market_of(inputs)
    with localcontext(CONTEXT):
        price = market.last_price
        equity = usdt(_equity(inputs), rounding=ROUND_FLOOR)
        held = inputs.holdings.get(inputs.asset, Decimal(0))
        volatility = _volatility(inputs.asset, market)
        exposure_left = max(Decimal(0), inputs.risk["max_total_exposure_pct"] - inputs.exposure_used_pct)
        basis = Basis(price=price, equity=equity, volatility=volatility, exposure_left=exposure_left, risk=inputs.risk)
        return Assessment(
            engine=ENGINE_VERSION,
            synthetic_entry=SyntheticEntry(
                price_usdt=price, quantity=held, value_usdt=usdt(held * price, rounding=ROUND_FLOOR)
            ),
            equity_usdt=equity,
            volatility_pct=volatility,
            variants=variants_of(basis),
            confidence=confidence_of(inputs, market),
            limits=_limits(inputs, equity, exposure_left=exposure_left),
        )


def _market_of(inputs: EngineInputs) -> AssetMarket:
    market = inputs.market.get(inputs.asset)
    if market is None:
        raise _insufficient(inputs.asset, "a last price", "none in the market snapshot")
    if len(market.daily_closes) < MIN_CLOSES:
        raise _insufficient(inputs.asset, f"at least {MIN_CLOSES} daily closes", f"{len(market.daily_closes)}")
    return market


def _equity(inputs: EngineInputs) -> Decimal:
    """What can be valued of the holdings; an asset without a price counts nothing, and lowers the confidence."""
    total = inputs.holdings.get(QUOTE, Decimal(0))
    for asset in sorted(inputs.holdings.keys() & inputs.market.keys() - {QUOTE}):
        total += inputs.holdings[asset] * inputs.market[asset].last_price
    return total


def _volatility(asset: str, market: AssetMarket) -> Decimal:
    """The mean absolute daily move, as a share, rounded up: a calm that is not there would size positions too large."""
    moves = [abs(later - earlier) / earlier for earlier, later in pairwise(market.daily_closes)]
    volatility = (sum(moves, start=Decimal(0)) / len(moves)).quantize(VOLATILITY_STEP, rounding=ROUND_CEILING)
    if volatility == 0:
        raise _insufficient(asset, "daily closes that move", f"{len(market.daily_closes)} that are all the same")
    return volatility


def _limits(inputs: EngineInputs, equity: Decimal, *, exposure_left: Decimal) -> Mapping[str, Decimal]:
    """The settings in force: each share as its USDT of `equity`, the rest as they are; what is left of two of them.

    Upper limits are rounded down, the reserve, the buffer and the smallest position up.
    """
    risk = inputs.risk

    def most(key: str) -> Decimal:
        return usdt(equity * risk[key], rounding=ROUND_FLOOR)

    def least(key: str) -> Decimal:
        return usdt(equity * risk[key], rounding=ROUND_CEILING)

    positions_left = max(Decimal(0), risk["max_open_positions"] - inputs.open_positions)
    return MappingProxyType(
        {
            "max_risk_per_trade_usdt": most("max_risk_per_trade_pct"),
            "max_total_exposure_usdt": most("max_total_exposure_pct"),
            "total_exposure_left_usdt": usdt(equity * exposure_left, rounding=ROUND_FLOOR),
            "max_open_positions": risk["max_open_positions"].to_integral_value(),
            "open_positions_left": positions_left.to_integral_value(),
            "daily_loss_limit_usdt": most("daily_loss_limit_pct"),
            "weekly_loss_limit_usdt": most("weekly_loss_limit_pct"),
            "tier_low_allocation_usdt": most("tier_low_allocation_pct"),
            "tier_mid_allocation_usdt": most("tier_mid_allocation_pct"),
            "tier_high_allocation_usdt": most("tier_high_allocation_pct"),
            "cash_reserve_usdt": least("cash_reserve_pct"),
            "fee_buffer_usdt": least("fee_buffer_pct"),
            "min_position_value_usdt": usdt(risk["min_position_value_usdt"], rounding=ROUND_CEILING),
        }
    )


def _insufficient(asset: str, expected: str, found: str) -> Refusal:
    return Refusal(
        Reason.MARKET_DATA_INSUFFICIENT,
        f"a proposal for {asset} needs {expected}, found {found}; wait until the bot has seen more of the market",
    )
