"""Proposals to write and read: one example with round figures, and any that the schema has room for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as some

from worker.contracts.commands import CommandId
from worker.contracts.proposals import (
    ENGINE_VERSION,
    Assessment,
    Confidence,
    Proposal,
    ProposalId,
    SyntheticEntry,
    Variant,
    VariantName,
)

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)


def example_variant(name: VariantName, *, allocation: str, stop: str) -> Variant:
    """A variant of 10,000 USDT at a price of 3,000."""
    share, distance = Decimal(allocation), Decimal(stop)
    return Variant(
        name=name,
        allocation_pct=share,
        allocation_cap_pct=share,
        position_value_usdt=10_000 * share,
        quantity=Decimal("0.03333333"),
        stop_loss_pct=distance,
        stop_loss_price=3000 * (1 - distance),
        take_profit_pct=2 * distance,
        take_profit_price=3000 * (1 + 2 * distance),
        risk_pct=share * distance,
        meets_minimum=True,
    )


def example_proposal(number: int = 1) -> Proposal:
    """A proposal for ETH whose ids tell its number."""
    return Proposal(
        proposal_id=ProposalId(UUID(int=number)),
        command_id=CommandId(UUID(int=1000 + number)),
        asset="ETH",
        intent="hold less by hand",
        requested_by=23,
        generated_at=NINE,
        expires_at=NINE + timedelta(minutes=15),
        profile_id=UUID(int=2000),
        profile_version=1,
        market_at=NINE - timedelta(seconds=30),
        assessment=Assessment(
            engine=ENGINE_VERSION,
            synthetic_entry=SyntheticEntry(price_usdt=Decimal(3000), quantity=Decimal("0.5"), value_usdt=Decimal(1500)),
            equity_usdt=Decimal(10_000),
            volatility_pct=Decimal("0.02"),
            variants=(
                example_variant(VariantName.CONSERVATIVE, allocation="0.01", stop="0.03"),
                example_variant(VariantName.BALANCED, allocation="0.03", stop="0.04"),
                example_variant(VariantName.AGGRESSIVE, allocation="0.05", stop="0.05"),
            ),
            confidence=Confidence(
                overall_score=Decimal("0.72"), parts={"history": Decimal("0.8"), "freshness": Decimal("0.9")}
            ),
            limits={"max_open_positions": Decimal(4), "cash_reserve_usdt": Decimal(1000)},
        ),
    )


assets = some.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=32)
instants = some.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30), timezones=some.just(UTC))  # noqa: DTZ001
decimals = some.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), some.integers(0, 10**27 - 1), some.integers(-3, 30)
)
scores = some.integers(0, 10**4).map(lambda score: Decimal(score).scaleb(-4))
names = some.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=64).map(lambda name: f"a{name[1:]}")
whole_numbers = some.integers(1, 10**15 - 1)


def variants_called(name: VariantName) -> some.SearchStrategy[Variant]:
    return some.builds(
        Variant,
        name=some.just(name),
        allocation_pct=decimals,
        allocation_cap_pct=decimals,
        position_value_usdt=decimals,
        quantity=decimals,
        stop_loss_pct=decimals,
        stop_loss_price=decimals,
        take_profit_pct=decimals,
        take_profit_price=decimals,
        risk_pct=decimals,
        meets_minimum=some.booleans(),
    )


proposals = some.builds(
    Proposal,
    proposal_id=some.uuids().map(ProposalId),
    command_id=some.uuids().map(CommandId),
    asset=assets,
    intent=some.text(some.characters(codec="utf-8"), min_size=1, max_size=500),
    requested_by=some.none() | whole_numbers,
    generated_at=instants,
    expires_at=instants,
    profile_id=some.uuids(),
    profile_version=whole_numbers,
    market_at=instants,
    assessment=some.builds(
        Assessment,
        engine=names,
        synthetic_entry=some.builds(SyntheticEntry, price_usdt=decimals, quantity=decimals, value_usdt=decimals),
        equity_usdt=decimals,
        volatility_pct=decimals,
        variants=some.tuples(*(variants_called(name) for name in VariantName)),
        confidence=some.builds(Confidence, overall_score=scores, parts=some.dictionaries(names, scores, max_size=5)),
        limits=some.dictionaries(names, decimals, max_size=5),
    ),
)
"""Every field takes any value its type has in the schema, whether or not the engine would give it."""
