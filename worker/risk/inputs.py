"""What the risk engine computes from, checked where it enters: afterwards every number can be computed with.

Source: contract §8, "Engine".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from worker.guards.limits import RISK_KEYS

CONTEXT = Context(prec=200, Emin=-9999, Emax=9999, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The engine's arithmetic, whatever the caller's is: room for a quantity of 60 digits times a price of 36 times a
share of 15, so that no product is ever rounded."""

QUOTE = "USDT"
"""What everything is valued in; it counts at price 1."""

MAX_PRICE_DIGITS = 18
"""On each side of the point: what the bot's market snapshot has room for. Bounds every product below."""

MAX_QUANTITY_DIGITS = 30
"""On each side of the point: what a baseline file has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMarket:
    """What the market says about one asset, in USDT. `daily_closes` are of consecutive complete days, oldest first.

    Raises: `ValueError` for a price that is not a positive `Decimal` of at most 18 digits on each side of the point.
    """

    last_price: Decimal
    daily_closes: tuple[Decimal, ...]

    def __post_init__(self) -> None:
        for price in (self.last_price, *self.daily_closes):
            _require_decimal("a price", price, max_digits=MAX_PRICE_DIGITS)
            if price == 0:
                raise ValueError("expected a price above zero, found 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInputs:
    """Everything the engine knows; equal inputs give equal assessments.

    `holdings` are the baseline's quantities by asset, `market` the last prices and closes by asset, taken at
    `market_at`; `now` is the database clock. `risk` holds the eleven settings by key. `open_positions` counts the
    assets under management, and `exposure_used_pct` is the share of equity they were given: the sum of their terms'
    `allocation_pct`.

    Raises: `ValueError` for a number that is negative, no `Decimal` or not finite, a time without a zone, or risk keys
    other than the eleven: a defect of whoever read them, because files and rows are checked where they are read.
    """

    asset: str
    holdings: Mapping[str, Decimal]
    market: Mapping[str, AssetMarket]
    market_at: datetime
    now: datetime
    risk: Mapping[str, Decimal]
    open_positions: int
    exposure_used_pct: Decimal

    def __post_init__(self) -> None:
        for asset, quantity in self.holdings.items():
            _require_decimal(f"the holding of {asset}", quantity, max_digits=MAX_QUANTITY_DIGITS)
        _require_decimal("exposure_used_pct", self.exposure_used_pct, max_digits=MAX_QUANTITY_DIGITS)
        if self.risk.keys() != RISK_KEYS:
            raise ValueError(f"expected the risk keys {', '.join(sorted(RISK_KEYS))}, found others")
        if self.open_positions < 0:
            raise ValueError(f"expected open_positions >= 0, found {self.open_positions}")
        for name, instant in (("market_at", self.market_at), ("now", self.now)):
            if instant.utcoffset() is None:
                raise ValueError(f"expected {name} with a zone, found {instant.isoformat()} without one")


def _require_decimal(what: str, number: object, *, max_digits: int) -> None:
    if not isinstance(number, Decimal):
        raise ValueError(f"expected {what} to be a Decimal, found a {type(number).__name__}")
    if not number.is_finite() or number < 0:
        raise ValueError(f"expected {what} to be finite and not negative, found {number}")
    shortest = number.normalize(CONTEXT)
    places = len(format(shortest, "f").partition(".")[2]) if shortest.adjusted() >= -max_digits else max_digits + 1
    if shortest.adjusted() >= max_digits or places > max_digits:
        raise ValueError(f"expected {what} with at most {max_digits} digits on each side of the point")
