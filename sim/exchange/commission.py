"""What a fill costs: standard, special and tax commission on what was received, less the discount in BNB."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any

from sim.exchange.amounts import ZERO, rounded_half_up
from sim.exchange.tables import table

Rates = Mapping[str, Decimal]
"""`maker`, `taker`, `buyer` and `seller`, each a share of the amount received."""

ROLES = ("maker", "taker", "buyer", "seller")
NOTHING: Rates = MappingProxyType(dict.fromkeys(ROLES, ZERO))

PriceOf = Callable[[str, str], Decimal | None]
"""The price of one asset in another, None where no market tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionRates:
    """The three kinds of commission of an account."""

    standard: Rates
    special: Rates = field(default_factory=lambda: NOTHING)
    tax: Rates = field(default_factory=lambda: NOTHING)
    are_zero: bool = field(init=False)

    def __post_init__(self) -> None:
        costs = any(any(rates.values()) for rates in (self.standard, self.special, self.tax))
        object.__setattr__(self, "are_zero", not costs)


@cache
def default_rates() -> CommissionRates:
    """The rates of the testnet: nothing."""
    return CommissionRates(standard=rates_of(table("world.toml")["commission"]))


def rates_of(given: Mapping[str, Any]) -> Rates:
    """Rates from text; a role that is missing costs nothing."""
    return MappingProxyType({role: Decimal(given.get(role, 0)) for role in ROLES})


@cache
def discount_asset() -> str:
    return str(table("world.toml")["discount"]["asset"])


@cache
def discount_rate() -> Decimal:
    return Decimal(table("world.toml")["discount"]["rate"])


def _rate(rates: Rates, *, is_maker: bool, is_buyer: bool) -> Decimal:
    return rates["maker" if is_maker else "taker"] + rates["buyer" if is_buyer else "seller"]


def in_received_asset(rates: CommissionRates, received: Decimal, *, is_maker: bool, is_buyer: bool) -> Decimal:
    """The commission in the asset received, each kind rounded to eight places."""
    return sum(
        (
            rounded_half_up(received * _rate(kind, is_maker=is_maker, is_buyer=is_buyer))
            for kind in (rates.standard, rates.special, rates.tax)
        ),
        ZERO,
    )


def in_discount_asset(
    rates: CommissionRates, received: Decimal, asset: str, price_of: PriceOf, *, is_maker: bool, is_buyer: bool
) -> Decimal | None:
    """The commission in the discount asset; None where no market tells what the received asset is worth in it."""
    price = Decimal(1) if asset == discount_asset() else price_of(discount_asset(), asset)
    if not price:
        return None
    standard = received * _rate(rates.standard, is_maker=is_maker, is_buyer=is_buyer) * (1 - discount_rate())
    rest = received * (
        _rate(rates.special, is_maker=is_maker, is_buyer=is_buyer)
        + _rate(rates.tax, is_maker=is_maker, is_buyer=is_buyer)
    )
    return rounded_half_up(standard / price) + rounded_half_up(rest / price)
