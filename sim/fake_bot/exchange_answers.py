"""What the bot reads of the exchange's answers and events; whatever else stands in them is not looked at.

Amounts come as text and stay exact. Shapes are those of the Binance Spot testnet.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from sim.fake_bot.fills import Fill

Amount = Annotated[str, msgspec.Meta(pattern=r"\A(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?\Z")]


class Refused(msgspec.Struct):
    """An error of the API."""

    code: int
    msg: str


class ServerTime(msgspec.Struct):
    """GET time."""

    serverTime: int


class Balance(msgspec.Struct):
    """One asset of an account: free, and set aside for open orders."""

    asset: str
    free: Amount
    locked: Amount


class Account(msgspec.Struct):
    """GET account."""

    uid: int
    balances: list[Balance]

    def totals(self) -> dict[str, Decimal]:
        """What is held of each asset, free or set aside; nothing that is zero."""
        found = {each.asset: Decimal(each.free) + Decimal(each.locked) for each in self.balances}
        return {asset: amount for asset, amount in found.items() if amount}

    def locked(self, asset: str) -> Decimal:
        """What is set aside of an asset."""
        return sum((Decimal(each.locked) for each in self.balances if each.asset == asset), Decimal(0))


class OrderAnswer(msgspec.Struct):
    """An order, as GET, POST and DELETE tell it."""

    symbol: str
    orderId: int
    clientOrderId: str
    status: str
    executedQty: Amount
    origClientOrderId: str | None = None


class TradeAnswer(msgspec.Struct):
    """A line of GET myTrades."""

    id: int
    orderId: int
    price: Amount
    qty: Amount
    quoteQty: Amount
    commission: Amount
    commissionAsset: str

    def fill(self) -> Fill:
        """As the portfolio takes it."""
        return Fill(
            trade_id=self.id,
            quantity=Decimal(self.qty),
            price=Decimal(self.price),
            quote_quantity=Decimal(self.quoteQty),
            commission=Decimal(self.commission),
            commission_asset=self.commissionAsset,
        )


class Price(msgspec.Struct):
    """A line of GET ticker/price."""

    symbol: str
    price: Amount


class SymbolRules(msgspec.Struct):
    """A symbol of GET exchangeInfo."""

    symbol: str
    baseAsset: str
    filters: list[dict[str, Any]]

    def step_of(self, filter_type: str, name: str) -> Decimal:
        """The step that a filter demands. Raises: `msgspec.ValidationError` where the symbol has no such filter."""
        for each in self.filters:
            if each.get("filterType") == filter_type and isinstance(each.get(name), str):
                return Decimal(each[name]).normalize()
        raise msgspec.ValidationError(f"expected {name} of {filter_type} for {self.symbol}, found none")


class ExchangeRules(msgspec.Struct):
    """GET exchangeInfo."""

    symbols: list[SymbolRules]


class Report(msgspec.Struct, rename={"client_order_id": "c", "original_id": "C", "execution": "x", "status": "X"}):
    """`executionReport` of user data: an order as it is now, and what just happened to it."""

    client_order_id: str
    original_id: str
    execution: str
    status: str
    i: int
    t: int
    l: Amount  # noqa: E741 - the exchange's own name
    L: Amount
    Y: Amount
    n: Amount
    N: str | None
    z: Amount

    @property
    def order(self) -> str:
        """The client id of the order, which a cancel has in another place."""
        return self.original_id or self.client_order_id

    def fill(self) -> Fill | None:
        """The trade that it tells of, None where it tells of something else."""
        if self.execution != "TRADE":
            return None
        return Fill(
            trade_id=self.t,
            quantity=Decimal(self.l),
            price=Decimal(self.L),
            quote_quantity=Decimal(self.Y),
            commission=Decimal(self.n),
            commission_asset=self.N,
        )


def report_in(event: Mapping[str, Any]) -> Report | None:
    """The report that `event` is; None for an event of another kind. Raises: `msgspec.ValidationError`."""
    return msgspec.convert(event, Report) if event.get("e") == "executionReport" else None
