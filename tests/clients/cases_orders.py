"""Cases 20 to 39: an account's orders, trades and balances, told by the client and held by the exchange."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from sim.exchange.commission import CommissionRates, rates_of
from sim.exchange.world import World
from tests.clients.case import case
from tests.clients.dialect import SYMBOL
from tests.clients.seen import FillSeen, OrderSeen, number
from tests.clients.stage import ACCOUNT, Stage

BOUGHT = ("BUY", "0.5", "99.50")
"""A limit order that rests below the market: 49.75 USDT."""


def resting(client_order_id: str, **changed: Any) -> OrderSeen:
    """That order, the first of its account, as it must be seen."""
    new = OrderSeen(
        order_id=1,
        client_order_id=client_order_id,
        side="BUY",
        type="LIMIT",
        status="NEW",
        price=Decimal("99.50"),
        quantity=Decimal("0.5"),
        executed=Decimal(0),
        quote_executed=Decimal(0),
    )
    return replace(new, **changed)


def fill(stage: Stage, order_id: int, quantity: str) -> None:
    """Fills part of a resting order at its own price."""
    stage.world(lambda world: world.fill(SYMBOL, order_id, Decimal(quantity)))


def charge_takers(world: World) -> None:
    """From now on whoever takes pays a thousandth."""
    world.account(ACCOUNT).rates = CommissionRates(standard=rates_of({"taker": "0.001"}))


@case("20", "place a limit order", calls="place_limit", operations="order_place")
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    assert placed == resting(placed.client_order_id)
    assert stage.orders() == [placed]
    assert stage.balance("USDT") == (Decimal("999950.25"), Decimal("49.75"))


@case("21", "ask for an order", calls="query place_limit", operations="order_place order_query")
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    assert stage.client.query(placed.order_id) == placed == stage.held(placed.order_id)


@case("22", "open orders", calls="open_orders place_limit", operations="order_place open_orders")
def _(stage: Stage) -> None:
    placed = [stage.client.place_limit(*BOUGHT), stage.client.place_limit("SELL", "0.25", "101")]
    assert stage.client.open_orders() == placed == stage.orders()


@case("23", "see a partial fill", calls="query place_limit", operations="order_place order_query")
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    fill(stage, placed.order_id, "0.2")
    found = stage.client.query(placed.order_id)
    part = {"status": "PARTIALLY_FILLED", "executed": Decimal("0.2"), "quote_executed": Decimal("19.9")}
    assert found == resting(placed.client_order_id, **part) == stage.held(placed.order_id)


@case(
    "24", "see the rest filled", calls="query place_limit open_orders", operations="order_place order_query open_orders"
)
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    fill(stage, placed.order_id, "0.2")
    fill(stage, placed.order_id, "0.3")
    found = stage.client.query(placed.order_id)
    whole = {"status": "FILLED", "executed": Decimal("0.5"), "quote_executed": Decimal("49.75")}
    assert found == resting(placed.client_order_id, **whole) == stage.held(placed.order_id)
    assert stage.client.open_orders() == []


@case("25", "a market order takes two levels", calls="place_market", operations="order_place")
def _(stage: Stage) -> None:
    placed = stage.client.place_market("BUY", "1.5")
    assert (placed.status, placed.executed, placed.quote_executed) == ("FILLED", Decimal("1.5"), Decimal("150.02"))
    assert [(fill.price, fill.quantity) for fill in stage.fills()] == [
        (Decimal("100.01"), Decimal(1)),
        (Decimal("100.02"), Decimal("0.5")),
    ]
    assert stage.balance("BTC") == (Decimal("11.5"), Decimal(0))


@case("26", "cancel an order", calls="cancel place_limit", operations="order_place order_cancel")
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    canceled = stage.client.cancel(placed.order_id)
    assert canceled == resting(placed.client_order_id, status="CANCELED") == stage.held(1)
    assert stage.balance("USDT") == (Decimal(1_000_000), Decimal(0))


@case(
    "27", "cancel all orders of a symbol", calls="cancel_all place_limit", operations="order_place open_orders_cancel"
)
def _(stage: Stage) -> None:
    placed = [stage.client.place_limit(*BOUGHT), stage.client.place_limit("SELL", "0.25", "101")]
    assert sorted(stage.client.cancel_all()) == [each.order_id for each in placed]
    assert {each.status for each in stage.orders()} == {"CANCELED"}


@case("28", "replace an order", calls="replace place_limit", operations="order_place order_cancel_replace")
def _(stage: Stage) -> None:
    placed = stage.client.place_limit(*BOUGHT)
    replacing = stage.client.replace(placed.order_id, "BUY", "0.6", "99.40")
    assert (replacing.price, replacing.quantity, replacing.status) == (Decimal("99.40"), Decimal("0.6"), "NEW")
    assert stage.orders() == [resting(placed.client_order_id, status="CANCELED"), replacing]


@case("29", "all orders", calls="all_orders place_limit cancel", operations="order_place order_cancel all_orders")
def _(stage: Stage) -> None:
    first = stage.client.place_limit(*BOUGHT)
    stage.client.place_limit("SELL", "0.25", "101")
    stage.client.cancel(first.order_id)
    found = stage.client.all_orders()
    assert [each.status for each in found] == ["CANCELED", "NEW"]
    assert found == stage.orders()


@case("30", "trades of one's own", calls="my_trades place_market place_limit", operations="order_place my_trades")
def _(stage: Stage) -> None:
    stage.client.place_market("BUY", "1.5")
    placed = stage.client.place_limit(*BOUGHT)
    fill(stage, placed.order_id, "0.2")
    made = FillSeen(
        trade_id=2,
        order_id=2,
        price=Decimal("99.50"),
        quantity=Decimal("0.2"),
        commission=Decimal(0),
        commission_asset="BTC",
        is_maker=True,
    )
    found = stage.client.my_trades()
    assert [(each.order_id, each.price, each.quantity, each.is_maker) for each in found[:2]] == [
        (1, Decimal("100.01"), Decimal(1), False),
        (1, Decimal("100.02"), Decimal("0.5"), False),
    ]
    assert found[2:] == [made]
    assert found == stage.fills()


@case("31", "commission of a trade", calls="my_trades place_market", operations="order_place my_trades")
def _(stage: Stage) -> None:
    stage.world(charge_takers)
    stage.client.place_market("BUY", "0.5")
    [found] = stage.client.my_trades()
    assert (found.commission, found.commission_asset) == (Decimal("0.0005"), "BTC")
    assert [found] == stage.fills()


@case("32", "balances", calls="balances place_limit", operations="order_place account")
def _(stage: Stage) -> None:
    stage.client.place_limit(*BOUGHT)
    found = stage.client.balances()
    assert found["USDT"] == (number("999950.25"), number("49.75")) == stage.balance("USDT")
    assert found["BTC"] == (Decimal(10), Decimal(0)) == stage.balance("BTC")


@case("33", "test an order", calls="test_limit", operations="order_test")
def _(stage: Stage) -> None:
    stage.client.test_limit(*BOUGHT)
    assert stage.orders() == []


@case("34", "counts of orders", calls="order_counts place_limit", operations="order_place order_counts")
def _(stage: Stage) -> None:
    stage.client.place_limit(*BOUGHT)
    assert stage.client.order_counts()[-1] == 1


@case("35", "rates of commission", calls="commission", operations="commission")
def _(stage: Stage) -> None:
    stage.world(charge_takers)
    assert stage.client.commission() == (Decimal(0), Decimal("0.001"))


@case("36", "filters of an account", calls="my_filters", operations="my_filters")
def _(stage: Stage) -> None:
    assert stage.client.my_filters() == 200


@case(
    "37",
    "a listen key is made, kept and closed",
    calls="make_listen_key keep_listen_key close_listen_key",
    operations="listen_key_create listen_key_keep listen_key_close",
)
def _(stage: Stage) -> None:
    key = stage.client.make_listen_key()
    assert stage.world(lambda world: world.listen_keys.account_of(key)) == ACCOUNT
    stage.client.keep_listen_key(key)
    stage.client.close_listen_key(key)
    assert stage.world(lambda world: world.listen_keys.account_of(key)) is None


@case(
    "39",
    "a whole life: placed, filled in part, filled, sold at market, another canceled",
    calls="place_limit place_market query cancel open_orders my_trades balances",
    operations="order_place order_query order_cancel open_orders my_trades account",
)
def _(stage: Stage) -> None:
    client = stage.client
    placed = client.place_limit(*BOUGHT)
    assert client.open_orders() == [placed]
    fill(stage, placed.order_id, "0.2")
    assert client.query(placed.order_id).status == "PARTIALLY_FILLED"
    fill(stage, placed.order_id, "0.3")
    assert client.query(placed.order_id).status == "FILLED"
    assert client.open_orders() == []
    sold = client.place_market("SELL", "0.5")
    assert (sold.status, sold.quote_executed) == ("FILLED", Decimal("49.995"))
    other = client.place_limit("BUY", "1", "90")
    assert client.cancel(other.order_id).status == "CANCELED"
    # Bought for 49.75, sold for 49.995.
    assert client.balances()["USDT"] == (number("1000000.245"), Decimal(0)) == stage.balance("USDT")
    assert client.my_trades() == stage.fills()
    assert [each.status for each in stage.orders()] == ["FILLED", "FILLED", "CANCELED"]
