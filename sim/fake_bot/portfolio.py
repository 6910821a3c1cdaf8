"""The paper portfolio: cash and positions, conserved to the last digit by every trade.

Source: contract §2. Every sum and product of money is exact: a digit that would be rounded away raises instead. Only
`average_price`, a figure for people and for the strategy, is rounded, and no money is computed from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec

from sim.fake_bot.errors import BotRefused
from sim.fake_bot.json_file import decimal_of, decimal_text, document, utc_text
from sim.fake_bot.orders import Dealings, DealingsFile, Side, dealings_document, dealings_of

SCHEMA_VERSION: Final = 1
CASH: Final = "USDT"
STARTING_CASH_USDT: Final = Decimal(10_000)
MAX_SYMBOL_CHARACTERS: Final = 32

EXACT = Context(prec=120, traps=[Inexact, Rounded, Clamped, InvalidOperation, DivisionByZero, Overflow])
"""Twice 18 digits on each side of the point, and room for sums; what does not fit is refused, never rounded."""

AVERAGE = Context(prec=120, traps=[InvalidOperation, DivisionByZero, Overflow])
AVERAGE_STEP = Decimal("0.00000001")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A fill: `quantity` of an asset at `price` USDT each. No fee is taken."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held of one asset, and what it cost on average in USDT, rounded to eight places."""

    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the bot expects to hold of a managed asset, and the command under which it last agreed to that.

    `generation` is that of the files in which it first saw this command; a portfolio of an older bot does not say.
    """

    command_id: UUID
    expected: Decimal
    generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Cash in USDT, positions and what is expected of managed assets, as of the cycle that last changed them.

    `exchange` is there where the bot trades on one, and cash and positions are what it holds there, set aside or free.
    """

    cycle: int
    cash_usdt: Decimal
    positions: Mapping[str, Position]
    managed: Mapping[str, Basis] = field(default_factory=lambda: MappingProxyType({}))
    exchange: Dealings | None = None

    def quantity(self, symbol: str) -> Decimal:
        """What is held of an asset; zero if nothing."""
        position = self.positions.get(symbol)
        return Decimal(0) if position is None else position.quantity

    def holdings(self) -> dict[str, Decimal]:
        """What is held of each asset, USDT among them; nothing that is zero."""
        held = {symbol: position.quantity for symbol, position in self.positions.items()}
        return {symbol: quantity for symbol, quantity in {**held, CASH: self.cash_usdt}.items() if quantity}


def starting_portfolio(*, cycle: int) -> Portfolio:
    """All cash."""
    return Portfolio(cycle=cycle, cash_usdt=STARTING_CASH_USDT, positions=MappingProxyType({}))


def after_trade(portfolio: Portfolio, trade: Trade, *, cycle: int) -> Portfolio:
    """The portfolio once `trade` has been filled; cash and positions valued at its price stay the same in sum.

    What is expected of a managed asset moves with its position.

    Raises: `ValueError` for a trade that is not positive, or that cash or position do not cover; `decimal.Inexact`
    where exact arithmetic would need more than 120 digits.
    """
    if trade.quantity <= 0 or trade.price <= 0:
        raise ValueError(f"expected a positive quantity and price, found {trade}")
    held = portfolio.quantity(trade.symbol)
    value = EXACT.multiply(trade.quantity, trade.price)
    positions = dict(portfolio.positions)
    if trade.side is Side.BUY:
        cash = EXACT.subtract(portfolio.cash_usdt, value)
        quantity = EXACT.add(held, trade.quantity)
        average = average_price(positions.get(trade.symbol), trade)
        positions[trade.symbol] = Position(quantity=quantity, average_price=average)
    else:
        cash = EXACT.add(portfolio.cash_usdt, value)
        quantity = EXACT.subtract(held, trade.quantity)
        position = positions.pop(trade.symbol, None)
        if position is not None and quantity > 0:
            positions[trade.symbol] = replace(position, quantity=quantity)
    if cash < 0 or quantity < 0:
        raise ValueError(f"expected a trade covered by cash and position, found {trade} with {cash=} {quantity=} left")
    managed = dict(portfolio.managed)
    if trade.symbol in managed:
        moved = EXACT.add(managed[trade.symbol].expected, EXACT.subtract(quantity, held))
        managed[trade.symbol] = replace(managed[trade.symbol], expected=moved)
    return replace(portfolio, cycle=cycle, cash_usdt=cash, positions=in_order(positions), managed=in_order(managed))


def in_order(named: Mapping[str, T]) -> Mapping[str, T]:
    """`named` as a portfolio holds it: read-only, by name."""
    return MappingProxyType(dict(sorted(named.items())))


def average_price(position: Position | None, trade: Trade) -> Decimal:
    """What is held, `trade` added to it, cost on average in USDT, rounded to eight places."""
    if position is None:
        return trade.price
    cost = AVERAGE.add(
        AVERAGE.multiply(position.quantity, position.average_price), AVERAGE.multiply(trade.quantity, trade.price)
    )
    return AVERAGE.divide(cost, AVERAGE.add(position.quantity, trade.quantity)).quantize(AVERAGE_STEP, context=AVERAGE)


def portfolio_document(portfolio: Portfolio, *, at: datetime) -> bytes:
    """The content of `live_portfolio.json`.

    Shape: `{"schema_version": 1, "cycle", "updated_at", "cash_usdt", "positions": {symbol: {"quantity",
    "average_price"}}, "managed": {symbol: {"command_id", "expected", "generation"}}}`, money and quantities as
    decimal text; `managed` stands there only while an asset is managed, `exchange` (see `orders`) only where the bot
    trades on one.
    """
    managed = {
        symbol: {
            "command_id": str(basis.command_id),
            "expected": decimal_text(basis.expected),
            **({} if basis.generation is None else {"generation": basis.generation}),
        }
        for symbol, basis in portfolio.managed.items()
    }
    return document(
        {
            "schema_version": SCHEMA_VERSION,
            "cycle": portfolio.cycle,
            "updated_at": utc_text(at),
            "cash_usdt": decimal_text(portfolio.cash_usdt),
            "positions": {
                symbol: {
                    "quantity": decimal_text(position.quantity),
                    "average_price": decimal_text(position.average_price),
                }
                for symbol, position in portfolio.positions.items()
            },
            **({"managed": managed} if managed else {}),
            **({} if portfolio.exchange is None else {"exchange": dealings_document(portfolio.exchange)}),
        }
    )


class _PortfolioFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    cycle: int
    updated_at: str
    cash_usdt: str
    positions: dict[str, Any]
    managed: Annotated[dict[str, Any], msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    exchange: DealingsFile | None = None


class _PositionFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    quantity: str
    average_price: str


class _BasisFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    command_id: UUID
    expected: str
    generation: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


def parse_portfolio(content: bytes, *, name: str) -> Portfolio:
    """The portfolio in `content`, the file called `name`.

    Raises: `BotRefused` (`bot/portfolio_damaged`), naming the file and the place in it.
    """
    try:
        found = msgspec.json.decode(content, type=_PortfolioFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(name, str(error)) from error
    if found.schema_version != SCHEMA_VERSION:
        raise _damaged(name, f"schema_version {found.schema_version}, this bot writes {SCHEMA_VERSION}")
    if found.cycle < 1:
        raise _damaged(name, f"cycle {found.cycle}, cycles count from 1")
    positions: dict[str, Position] = {}
    for symbol, value in found.positions.items():
        place = f"positions.{symbol[:MAX_SYMBOL_CHARACTERS]}"
        position = _entry(name, place, value, _PositionFile)
        quantity = _number(name, f"{place}.quantity", position.quantity)
        if quantity == 0:
            raise _damaged(name, f"a quantity of zero at {place}.quantity; a closed position is left out")
        average = _number(name, f"{place}.average_price", position.average_price)
        positions[symbol] = Position(quantity=quantity, average_price=average)
    managed: dict[str, Basis] = {}
    for symbol, value in ({} if found.managed is msgspec.UNSET else found.managed).items():
        place = f"managed.{symbol[:MAX_SYMBOL_CHARACTERS]}"
        basis = _entry(name, place, value, _BasisFile)
        expected = _number(name, f"{place}.expected", basis.expected)
        generation = None if basis.generation is msgspec.UNSET else basis.generation
        managed[symbol] = Basis(command_id=basis.command_id, expected=expected, generation=generation)
    return Portfolio(
        cycle=found.cycle,
        cash_usdt=_number(name, "cash_usdt", found.cash_usdt),
        positions=in_order(positions),
        managed=in_order(managed),
        exchange=None if found.exchange is None else _dealings(name, found.exchange),
    )


def _dealings(name: str, found: DealingsFile) -> Dealings:
    try:
        return dealings_of(found)
    except ValueError as error:
        raise _damaged(name, str(error)) from error


def _entry(name: str, place: str, value: Any, expected: type[T]) -> T:
    try:
        return msgspec.convert(value, type=expected)
    except msgspec.ValidationError as error:
        raise _damaged(name, f"{error}, in {place}") from error


def _number(name: str, place: str, text: str) -> Decimal:
    try:
        return decimal_of(text)
    except ValueError as error:
        raise _damaged(name, f"{error}, at {place}") from error


def _damaged(name: str, found: str) -> BotRefused:
    return BotRefused(
        "bot/portfolio_damaged",
        f"{name}: expected a portfolio as the bot writes it, found {found}; nothing was overwritten, "
        "restore the file from a backup",
    )
