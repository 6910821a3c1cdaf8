"""Inputs of the engine: one case with round figures, and any that a home and a profile can hold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as some

from tests.worker.contracts.proposal_cases import example_proposal
from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import Assessment
from worker.risk.inputs import AssetMarket, EngineInputs

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)

REFERENCE: Mapping[str, Decimal] = MappingProxyType(
    {
        "max_risk_per_trade_pct": Decimal("0.005"),
        "max_total_exposure_pct": Decimal("0.20"),
        "max_open_positions": Decimal(4),
        "daily_loss_limit_pct": Decimal("0.02"),
        "weekly_loss_limit_pct": Decimal("0.05"),
        "tier_low_allocation_pct": Decimal("0.01"),
        "tier_mid_allocation_pct": Decimal("0.03"),
        "tier_high_allocation_pct": Decimal("0.05"),
        "cash_reserve_pct": Decimal("0.10"),
        "fee_buffer_pct": Decimal("0.002"),
        "min_position_value_usdt": Decimal(10),
    }
)
"""The reference profile. Source: contract §5."""


def closes_moving(share: str, *, count: int = 30, last: str = "2000") -> tuple[Decimal, ...]:
    """Closes that end at `last` and of which every second move is up by `share`, every other back down."""
    low = Decimal(last)
    high = low * (1 + Decimal(share))
    return tuple(low if (count - number) % 2 else high for number in range(count))


def market_of(*, last_price: str = "2000", closes: tuple[Decimal, ...] | None = None) -> AssetMarket:
    return AssetMarket(last_price=Decimal(last_price), daily_closes=closes_moving("0.25") if closes is None else closes)


def inputs_with(**changes: Any) -> EngineInputs:
    """2 ETH at 2,000, 1 BTC at 5,000 and 1,000 USDT: 10,000 in all, all known, none of it managed yet."""
    return EngineInputs(
        **{
            "asset": "ETH",
            "holdings": {"ETH": Decimal(2), "BTC": Decimal(1), "USDT": Decimal(1000)},
            "market": {"ETH": market_of(), "BTC": market_of(last_price="5000")},
            "market_at": NINE,
            "now": NINE,
            "risk": REFERENCE,
            "open_positions": 0,
            "exposure_used_pct": Decimal(0),
            **changes,
        }
    )


def risk_with(**changes: str) -> dict[str, Decimal]:
    """The reference profile with some settings changed."""
    return {**REFERENCE, **{key: Decimal(value) for key, value in changes.items()}}


def document_of(assessment: Assessment) -> dict[str, Any]:
    """The assessment as plain JSON values, inside a proposal whose other fields are always the same."""
    return proposal_document(replace(example_proposal(), assessment=assessment))


@some.composite
def risk_settings(draw: some.DrawFn) -> dict[str, Decimal]:
    """Any settings a profile may have, in percent, down to a millionth of a millionth, or in ninths."""
    places, off = draw(some.sampled_from([(2, 0), (6, 0), (12, 0), (9, 111_111_111), (12, 123_456_789_012)]))
    grid = 10**places
    top = grid - off - 1

    def share(count: int) -> Decimal:
        return Decimal(count).scaleb(-places)

    low, mid, high = sorted(draw(some.lists(some.integers(1, top), min_size=3, max_size=3, unique=True)))
    exposure = draw(some.integers(high, top)) + off
    per_trade, daily, weekly = sorted(draw(some.lists(some.integers(1, top), min_size=3, max_size=3)))
    return {
        "max_risk_per_trade_pct": share(per_trade + off),
        "max_total_exposure_pct": share(exposure),
        "max_open_positions": Decimal(draw(some.integers(1, 50))),
        "daily_loss_limit_pct": share(daily + off),
        "weekly_loss_limit_pct": share(weekly + off),
        "tier_low_allocation_pct": share(low + off),
        "tier_mid_allocation_pct": share(mid + off),
        "tier_high_allocation_pct": share(high + off),
        "cash_reserve_pct": share(draw(some.integers(1, grid - exposure))),
        "fee_buffer_pct": share(draw(some.integers(1, grid))),
        "min_position_value_usdt": Decimal(draw(some.integers(500, 50_000_000_000))).scaleb(
            -draw(some.sampled_from([2, 8, 9]))
        )
        + 5,
    }


prices = some.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), some.integers(1, 10**18 - 1), some.integers(0, 18)
)
like_prices = some.integers(1000, 3000).map(lambda cents: Decimal(cents).scaleb(-2))
"""Prices of one asset on different days, for a volatility as markets have it."""
odd_prices = some.integers(1, 999).map(lambda count: 20 + Decimal(count) / Decimal(2**13))
"""Prices of thirteen places, so that amounts need rounding."""
quantities = some.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), some.integers(0, 10**12), some.integers(0, 12)
) | some.integers(1, 999).map(lambda count: Decimal(count) / Decimal(2**7))
moving_closes = (
    (
        some.lists(like_prices, min_size=2, max_size=40)
        | some.lists(odd_prices, min_size=2, max_size=4)
        | some.lists(prices, min_size=2, max_size=4)
    )
    .filter(lambda closes: len(set(closes)) > 1)
    .map(tuple)
)
markets = some.builds(AssetMarket, last_price=like_prices | odd_prices | prices, daily_closes=moving_closes)

engine_inputs = some.builds(
    EngineInputs,
    asset=some.just("ETH"),
    holdings=some.fixed_dictionaries({"ETH": quantities}, optional=dict.fromkeys(("BTC", "SOL", "USDT"), quantities))
    | some.dictionaries(some.sampled_from(["ETH", "BTC", "SOL", "USDT"]), quantities),
    market=some.fixed_dictionaries({"ETH": markets}, optional={"BTC": markets, "USDT": markets}),
    market_at=some.just(NINE),
    now=some.integers(-2 * 86_400, 2 * 86_400).map(lambda seconds: NINE + timedelta(seconds=seconds)),
    risk=risk_settings(),
    open_positions=some.integers(0, 60),
    exposure_used_pct=some.sampled_from([Decimal(0), Decimal("0.1"), Decimal(1) / 8])
    | some.integers(0, 2 * 10**12).map(lambda count: Decimal(count).scaleb(-12)),
)
