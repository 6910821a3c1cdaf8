"""How far the engine trusts its own numbers: four parts from 0 to 1, and their product.

Everything is rounded down: a doubt is never rounded away.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from types import MappingProxyType

from worker.contracts.proposals import Confidence
from worker.risk.inputs import QUOTE, AssetMarket, EngineInputs

SCORE_STEP = Decimal("0.0001")

FULL_HISTORY_CLOSES = 30
"""A month of daily closes is all the bot shows; a full one is full confidence."""

STALE_AFTER = timedelta(hours=24)
"""From this age on a market snapshot says nothing about today."""

_MICROSECOND = timedelta(microseconds=1)


def confidence_of(inputs: EngineInputs, market: AssetMarket) -> Confidence:
    """The confidence in an assessment of `inputs`. The caller has set the engine's decimal context."""
    parts = {
        "history": _score(Decimal(min(len(market.daily_closes), FULL_HISTORY_CLOSES)) / FULL_HISTORY_CLOSES),
        "freshness": _score(_freshness(inputs)),
        "valuation": _score(_valuation(inputs)),
        "agreement": _score(_agreement(market)),
    }
    return Confidence(overall_score=_score(_product(parts)), parts=MappingProxyType(parts))


def _freshness(inputs: EngineInputs) -> Decimal:
    """1 for a snapshot of this instant, 0 for one 24 hours away: one from the future is as wrong as an old one."""
    age = min(abs(inputs.now - inputs.market_at), STALE_AFTER)
    return 1 - Decimal(age // _MICROSECOND) / Decimal(STALE_AFTER // _MICROSECOND)


def _valuation(inputs: EngineInputs) -> Decimal:
    """The share of assets held that have a price; where nothing is held, nothing can be sized."""
    held = {asset for asset, quantity in inputs.holdings.items() if quantity > 0}
    if not held:
        return Decimal(0)
    return Decimal(len(held & {QUOTE, *inputs.market})) / len(held)


def _agreement(market: AssetMarket) -> Decimal:
    """The smaller of last price and last close as a share of the greater: a slipped point makes a tenth of it."""
    last_close = market.daily_closes[-1]
    return min(market.last_price, last_close) / max(market.last_price, last_close)


def _product(parts: Mapping[str, Decimal]) -> Decimal:
    product = Decimal(1)
    for part in parts.values():
        product *= part
    return product


def _score(score: Decimal) -> Decimal:
    return score.quantize(SCORE_STEP, rounding=ROUND_FLOOR)
