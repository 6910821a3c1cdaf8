"""Orders from birth to end as a client sees them: answers, queries, balances, and the engine's refusals."""

import pytest

from sim.exchange.rules import changed_rules
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader, amount, levels, open_trader, still_world

QUERY_KEYS = (
    "symbol orderId orderListId clientOrderId price origQty executedQty cummulativeQuoteQty status timeInForce type "
    "side stopPrice icebergQty time updateTime isWorking workingTime origQuoteOrderQty selfTradePreventionMode"
)
UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")
POOR = (400, -2010, "Account has insufficient balance for requested action.")


def test_limit_order_rests_and_its_price_is_set_aside(alice: Trader) -> None:
    placed = alice.limit("BUY", "2", "90.5", newClientOrderId="mine")

    assert placed.json == {
        "symbol": "BTCUSDT",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": NOW_MS,
        "price": "90.50000000",
        "origQty": "2.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": NOW_MS,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [],
    }
    assert alice.holds("USDT") == ("999819.00000000", "181.00000000")


def test_query_tells_all_fields_in_their_order(alice: Trader) -> None:
    alice.limit("BUY", "2", "90.5", newClientOrderId="mine")

    found = alice.order(1)

    assert list(found) == QUERY_KEYS.split()
    assert (found["time"], found["updateTime"], found["isWorking"], found["stopPrice"]) == (
        NOW_MS,
        NOW_MS,
        True,
        "0.00000000",
    )


@pytest.mark.parametrize(
    ("response", "keys"),
    [
        ("ACK", "symbol orderId orderListId clientOrderId transactTime"),
        (
            "RESULT",
            "symbol orderId orderListId clientOrderId transactTime price origQty executedQty origQuoteOrderQty "
            "cummulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode",
        ),
        (
            "FULL",
            "symbol orderId orderListId clientOrderId transactTime price origQty executedQty origQuoteOrderQty "
            "cummulativeQuoteQty status timeInForce type side workingTime selfTradePreventionMode fills",
        ),
    ],
)
def test_answer_is_as_long_as_it_was_asked_for(alice: Trader, response: str, keys: str) -> None:
    assert list(alice.limit("BUY", 1, 90, newOrderRespType=response).json) == keys.split()


def test_limit_maker_is_acknowledged_where_nothing_is_asked_for(alice: Trader) -> None:
    assert "status" not in alice.place(side="BUY", type="LIMIT_MAKER", quantity=1, price=90).json


def test_market_order_walks_the_book(quoted: World, alice: Trader) -> None:
    placed = alice.market("BUY", "2.5").json

    assert (placed["status"], placed["price"], placed["executedQty"]) == ("FILLED", "0.00000000", "2.50000000")
    assert placed["cummulativeQuoteQty"] == "250.04000000"
    assert placed["fills"] == [
        {
            "price": "100.01000000",
            "qty": "1.00000000",
            "commission": "0.00000000",
            "commissionAsset": "BTC",
            "tradeId": 0,
        },
        {
            "price": "100.02000000",
            "qty": "1.50000000",
            "commission": "0.00000000",
            "commissionAsset": "BTC",
            "tradeId": 1,
        },
    ]
    assert alice.holds("BTC") == ("12.50000000", "0.00000000")
    assert alice.holds("USDT") == ("999749.96000000", "0.00000000")


def test_market_order_beyond_the_book_expires_with_what_it_got(quoted: World, alice: Trader) -> None:
    placed = alice.market("SELL", "9").json

    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "8.00000000")
    assert placed["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    assert alice.holds("BTC") == ("2.00000000", "0.00000000")


def test_market_order_by_quote_quantity_spends_no_more(quoted: World, alice: Trader) -> None:
    placed = alice.place(side="BUY", type="MARKET", quoteOrderQty="150").json

    assert (placed["origQty"], placed["origQuoteOrderQty"]) == ("1.49980000", "150.00000000")
    assert placed["cummulativeQuoteQty"] == "149.99999600"
    assert placed["status"] == "FILLED"


def test_market_order_by_quote_quantity_needs_a_book(alice: Trader) -> None:
    refused = alice.place(side="BUY", type="MARKET", quoteOrderQty="150")

    assert refused.refusal == (400, -2010, "Order book liquidity is less than symbol minimum quantity.")


def test_limit_order_takes_what_is_better_and_gets_the_difference_back(quoted: World, alice: Trader) -> None:
    placed = alice.limit("BUY", "4", "100.05").json

    assert (placed["status"], placed["executedQty"]) == ("PARTIALLY_FILLED", "3.00000000")
    # 100.01 and twice 100.02 are paid; one is set aside at its limit.
    assert alice.holds("USDT") == ("999599.90000000", "100.05000000")


def test_order_of_another_account_is_filled_at_its_own_price(alice: Trader, bob: Trader) -> None:
    resting = alice.limit("SELL", "2", "105").json["orderId"]

    taken = bob.limit("BUY", "3", "110").json

    assert (taken["status"], taken["cummulativeQuoteQty"]) == ("PARTIALLY_FILLED", "210.00000000")
    assert alice.order(resting)["status"] == "FILLED"
    assert (alice.holds("USDT"), alice.holds("BTC")) == (
        ("1000210.00000000", "0.00000000"),
        ("8.00000000", "0.00000000"),
    )
    assert bob.holds("USDT") == ("999680.00000000", "110.00000000")


def test_better_price_comes_first_and_then_the_earlier_order(alice: Trader, bob: Trader, world: World) -> None:
    carol = open_trader(world, "carol")
    late_and_dear, early, late = (
        alice.limit("SELL", 1, 102).json["orderId"],
        alice.limit("SELL", 1, 101).json["orderId"],
        carol.limit("SELL", 1, 101).json["orderId"],
    )

    bob.market("BUY", "1.5")

    assert alice.order(early)["status"] == "FILLED"
    assert carol.order(late)["executedQty"] == "0.50000000"
    assert alice.order(late_and_dear)["status"] == "NEW"


def test_order_stands_before_the_outside_at_the_same_price(quoted: World, alice: Trader, bob: Trader) -> None:
    alice.limit("SELL", 1, "100.01")

    bob.market("BUY", "0.5")

    assert alice.order(1)["executedQty"] == "0.50000000"


@pytest.mark.parametrize(
    ("time_in_force", "quantity", "status", "executed", "reason"),
    [
        ("IOC", "3", "EXPIRED", "1.00000000", "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ("FOK", "3", "EXPIRED", "0.00000000", "UNFILLED_FOK_ORDER_EXPIRED"),
        ("IOC", "1", "FILLED", "1.00000000", None),
        ("FOK", "1", "FILLED", "1.00000000", None),
    ],
)
def test_time_in_force_decides_about_the_rest(
    quoted: World, alice: Trader, time_in_force: str, quantity: str, status: str, executed: str, reason: str | None
) -> None:
    placed = alice.limit("BUY", quantity, "100.01", timeInForce=time_in_force).json

    assert (placed["status"], placed["executedQty"], placed.get("expiryReason")) == (status, executed, reason)
    assert alice.holds("USDT")[1] == "0.00000000"
    assert alice.get("openOrders").json == []


def test_limit_maker_that_would_take_is_refused(quoted: World, alice: Trader) -> None:
    refused = alice.place(side="BUY", type="LIMIT_MAKER", quantity=1, price="100.01")

    assert refused.refusal == (400, -2010, "Order would immediately match and take.")
    assert alice.place(side="BUY", type="LIMIT_MAKER", quantity=1, price="100.00").status == 200


@pytest.mark.parametrize(
    "order",
    [
        {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "9000", "price": "120"},
        {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "10.00001", "price": "120"},
        {"side": "SELL", "type": "MARKET", "quantity": "11"},
        {"side": "SELL", "type": "STOP_LOSS", "quantity": "11", "stopPrice": "90"},
    ],
    ids=lambda order: order["type"] + order["side"],
)
def test_order_beyond_the_balance_is_refused_and_moves_nothing(
    quoted: World, alice: Trader, order: dict[str, str]
) -> None:
    before = alice.get("account").json["balances"]

    assert alice.place(**order).refusal == POOR
    assert alice.get("account").json["balances"] == before


def test_market_buy_that_the_balance_does_not_cover_is_refused_whole(quoted: World, world: World) -> None:
    carol = open_trader(world, "carol", balances={"USDT": amount("200.03")})

    assert carol.market("BUY", "3").refusal == POOR
    assert carol.market("BUY", "2").json["status"] == "FILLED"
    assert carol.holds("USDT") == ("0.00000000", "0.00000000")


def test_client_id_is_unique_among_open_orders_only(alice: Trader) -> None:
    alice.limit("BUY", 1, 90, newClientOrderId="one")

    assert alice.limit("BUY", 1, 91, newClientOrderId="one").refusal == (400, -2010, "Duplicate order sent.")

    alice.cancel(origClientOrderId="one")
    assert alice.limit("BUY", 1, 91, newClientOrderId="one").status == 200
    assert alice.get("order", symbol="BTCUSDT", origClientOrderId="one").json["orderId"] == 2


def test_client_id_is_made_of_22_letters_and_digits(alice: Trader) -> None:
    made = alice.limit("BUY", 1, 90).json["clientOrderId"]

    assert len(made) == 22
    assert made.isalnum()


def test_test_order_changes_nothing(quoted: World, alice: Trader) -> None:
    tested = alice.signed("POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1)

    assert (tested.status, tested.json) == (200, {})
    assert alice.get("allOrders", symbol="BTCUSDT").json == []


def test_test_order_is_validated_like_any(alice: Trader) -> None:
    refused = alice.signed("POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.000001")

    assert refused.refusal == (400, -1013, "Filter failure: LOT_SIZE")


def test_test_order_tells_rates_when_asked(alice: Trader) -> None:
    tested = alice.signed(
        "POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1, computeCommissionRates="true"
    )

    assert list(tested.json) == [
        "standardCommissionForOrder",
        "specialCommissionForOrder",
        "taxCommissionForOrder",
        "discount",
    ]


def test_symbol_that_does_not_trade_takes_no_order(world: World, alice: Trader) -> None:
    world.market("BTCUSDT").status = "HALT"

    assert alice.limit("BUY", 1, 90).refusal == (400, -2010, "Market is closed.")


def test_account_that_may_not_trade_places_and_cancels_nothing(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)
    world.account("alice").can_trade = False

    text = "This account may not place or cancel orders."
    assert alice.limit("BUY", 1, 90).refusal == (400, -2010, text)
    assert alice.cancel(orderId=1).refusal == (400, -2011, text)


def test_symbol_of_other_permissions_is_refused() -> None:
    world = still_world(rules=changed_rules("BTCUSDT", permissionSets=[["LEVERAGED"]]))
    alice = open_trader(world)

    assert alice.limit("BUY", 1, 90).refusal == (400, -2010, "This symbol is not permitted for this account.")


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"type": "MARKET", "quoteOrderQty": 100}, "Quote order qty market orders are not support for this symbol."),
        (
            {"type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 1000, "icebergQty": "0.5"},
            "Iceberg orders are not supported for this symbol.",
        ),
        (
            {"type": "STOP_LOSS", "quantity": 1, "trailingDelta": 100},
            "Trailing stop orders are not supported for this symbol.",
        ),
    ],
    ids=["quote", "iceberg", "trailing"],
)
def test_what_the_symbol_does_not_allow_is_refused(alice: Trader, order: dict[str, object], text: str) -> None:
    assert alice.place(symbol="这是测试币456", side="BUY", **order).refusal == (400, -2010, text)


def test_scripted_fill_fills_that_very_order_at_its_price(world: World, alice: Trader) -> None:
    alice.limit("BUY", 2, 90)
    alice.limit("BUY", 2, 95)

    world.fill("BTCUSDT", 1, amount("0.5"))

    assert (alice.order(1)["status"], alice.order(1)["cummulativeQuoteQty"]) == ("PARTIALLY_FILLED", "45.00000000")
    assert alice.order(2)["status"] == "NEW"
    assert alice.holds("USDT") == ("999630.00000000", "325.00000000")


def test_price_that_crosses_fills_the_order_as_maker(world: World, alice: Trader) -> None:
    alice.limit("BUY", "0.1", "95")

    world.set_price("BTCUSDT", amount("94"))

    [fill] = alice.get("myTrades", symbol="BTCUSDT").json
    assert (fill["price"], fill["isMaker"], fill["isBuyer"]) == ("95.00000000", True, True)


def test_quotes_that_do_not_suffice_fill_in_part(world: World, alice: Trader) -> None:
    alice.limit("BUY", "3", "95")

    world.set_book("BTCUSDT", levels(("93", "1")), levels(("94", "1"), ("96", "1")))

    assert alice.order(1)["executedQty"] == "1.00000000"
    depth = alice.send("GET", "/api/v3/depth", "symbol=BTCUSDT").json
    assert depth["bids"] == [["95.00000000", "2.00000000"], ["93.00000000", "1.00000000"]]
    assert depth["asks"] == [["96.00000000", "1.00000000"]]


def test_strategy_labels_come_back(alice: Trader) -> None:
    placed = alice.limit("BUY", 1, 90, strategyId=7, strategyType=1000000).json

    assert (placed["strategyId"], placed["strategyType"]) == (7, 1000000)
