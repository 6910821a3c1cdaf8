"""Whatever is done to an exchange, nothing is made and nothing is lost: random steps, and the rules after each."""

from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sim.exchange.amounts import ZERO
from sim.exchange.commission import CommissionRates, rates_of
from sim.exchange.order import Order
from sim.exchange.rules import changed_rules
from sim.exchange.settlement import funding_asset
from tests.sim.exchange.trader import Reply, Trader, open_trader, still_world

# Ticks and steps so fine that a price times a quantity has sixteen places, and open to any price and notional.
FINE = changed_rules(
    "BTCUSDT",
    filters={
        "PRICE_FILTER": {"minPrice": "0.00000001", "tickSize": "0.00000001"},
        "LOT_SIZE": {"minQty": "0.00000001", "stepSize": "0.00000001"},
        "NOTIONAL": {"minNotional": "0"},
        "PERCENT_PRICE_BY_SIDE": {
            "bidMultiplierUp": "1000",
            "bidMultiplierDown": "0",
            "askMultiplierUp": "1000",
            "askMultiplierDown": "0",
        },
        "MAX_NUM_ALGO_ORDERS": {"maxNumAlgoOrders": 200},
    },
)
RATES = {"maker": "0.00100000", "taker": "0.00150000", "buyer": "0.00010000", "seller": "0.00020000"}

prices = st.decimals("90", "110", places=8, allow_nan=False).map(str)
quantities = st.decimals("0.00000001", "3", places=8, allow_nan=False).map(str)
sides = st.sampled_from(["BUY", "SELL"])
modes = st.sampled_from(["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT"])


class Exchange(RuleBasedStateMachine):
    """Three accounts, one of which pays in BNB, one nothing; orders of every kind, cancels, the outside, the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.world = still_world(rules=FINE)
        costly = CommissionRates(standard=rates_of(RATES), special=rates_of(RATES), tax=rates_of(RATES))
        self.traders = [
            open_trader(self.world, "alice", rates=costly),
            open_trader(self.world, "bob", rates=costly, pays_in_discount_asset=True),
            open_trader(self.world, "carol"),
        ]

    def trader(self, number: int) -> Trader:
        return self.traders[number % 3]

    def check(self, reply: Reply) -> None:
        assert reply.status == 200 or reply.json["code"] < 0
        # Limits are no subject here.
        self.world.clock.advance(us=10_000_000)

    @rule(
        who=st.integers(0, 2),
        side=sides,
        quantity=quantities,
        price=prices,
        time_in_force=st.sampled_from(["GTC", "IOC", "FOK"]),
        mode=modes,
        parts=st.integers(0, 5),
    )
    def limit_order(
        self, who: int, side: str, quantity: str, price: str, time_in_force: str, mode: str, parts: int
    ) -> None:
        iceberg = (Decimal(quantity) / max(parts, 1)).quantize(Decimal("1E-8"))
        shown = {"icebergQty": f"{iceberg:f}"} if parts and iceberg and time_in_force == "GTC" else {}
        given = {"timeInForce": time_in_force, "selfTradePreventionMode": mode, **shown}
        self.check(self.trader(who).limit(side, f"{Decimal(quantity):f}", price, **given))

    @rule(who=st.integers(0, 2), side=sides, quantity=quantities, mode=modes)
    def market_order(self, who: int, side: str, quantity: str, mode: str) -> None:
        self.check(self.trader(who).market(side, f"{Decimal(quantity):f}", selfTradePreventionMode=mode))

    @rule(who=st.integers(0, 2), side=sides, spent=st.decimals("0.01", "300", places=8).map(str))
    def quote_order(self, who: int, side: str, spent: str) -> None:
        self.check(self.trader(who).place(side=side, type="MARKET", quoteOrderQty=spent))

    @rule(
        who=st.integers(0, 2),
        side=sides,
        kind=st.sampled_from(["STOP_LOSS", "TAKE_PROFIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]),
        quantity=quantities,
        price=prices,
        stop=prices,
        delta=st.sampled_from([None, 10, 100, 500]),
    )
    def stop_order(
        self, who: int, side: str, kind: str, quantity: str, price: str, stop: str, delta: int | None
    ) -> None:
        limit = {"price": price, "timeInForce": "GTC"} if kind.endswith("LIMIT") else {}
        trailing = {} if delta is None else {"trailingDelta": delta}
        self.check(
            self.trader(who).place(
                side=side, type=kind, quantity=f"{Decimal(quantity):f}", stopPrice=stop, **limit, **trailing
            )
        )

    @precondition(lambda self: self.open_orders())
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        open_orders = self.open_orders()
        order = open_orders[which % len(open_orders)]
        owner = next(trader for trader in self.traders if trader.name == order.account)
        assert owner.cancel(orderId=order.order_id).status == 200

    @precondition(lambda self: self.open_orders())
    @rule(which=st.integers(0, 100), price=prices, mode=st.sampled_from(["STOP_ON_FAILURE", "ALLOW_FAILURE"]))
    def replace(self, which: int, price: str, mode: str) -> None:
        open_orders = self.open_orders()
        order = open_orders[which % len(open_orders)]
        given = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": price}
        self.check(
            self.trader(which).signed(
                "POST",
                "order/cancelReplace",
                symbol="BTCUSDT",
                cancelReplaceMode=mode,
                cancelOrderId=order.order_id,
                **given,
            )
        )

    @rule(price=prices)
    def price_moves(self, price: str) -> None:
        self.world.set_price("BTCUSDT", Decimal(price))

    @rule(side=sides, quantity=quantities)
    def outside_comes(self, side: str, quantity: str) -> None:
        self.world.outside_trades("BTCUSDT", side, Decimal(quantity))

    @precondition(lambda self: self.resting())
    @rule(which=st.integers(0, 100), part=st.integers(1, 4))
    def scripted_fill(self, which: int, part: int) -> None:
        resting = self.resting()
        order = resting[which % len(resting)]
        self.world.fill(
            "BTCUSDT", order.order_id, (order.remaining / part).quantize(Decimal("1E-8")) or order.remaining
        )

    def open_orders(self) -> list[Order]:
        return [order for account in self.world.ledger.accounts.values() for order in account.all_open()]

    def resting(self) -> list[Order]:
        return [order for order in self.open_orders() if order.is_working]

    @invariant()
    def ledger_adds_up(self) -> None:
        assert self.world.breaches() == []

    @invariant()
    def what_is_locked_is_what_open_orders_set_aside(self) -> None:
        for account in self.world.ledger.accounts.values():
            wanted: dict[str, Decimal] = {}
            for order in account.all_open():
                asset = funding_asset(self.world.rules.symbols[order.symbol], order.side)
                wanted[asset] = wanted.get(asset, ZERO) + order.locked
            for asset, balance in account.balances.items():
                assert balance.locked == wanted.get(asset, ZERO)

    @invariant()
    def orders_are_the_sum_of_their_fills(self) -> None:
        for account in self.world.ledger.accounts.values():
            for order in account.orders.get("BTCUSDT", {}).values():
                assert order.executed == sum((fill.quantity for fill in order.fills), ZERO)
                assert order.quote_executed == sum((fill.quote_quantity for fill in order.fills), ZERO)
                assert order.executed + order.prevented_quantity <= order.quantity
                assert order.is_open == (order.order_id in account.open_orders["BTCUSDT"])
                assert order.is_open or order.locked == 0

    @invariant()
    def no_limit_buy_costs_more_than_its_limit(self) -> None:
        for account in self.world.ledger.accounts.values():
            for order in account.orders.get("BTCUSDT", {}).values():
                cost = order.quote_executed + order.locked
                assert not order.is_buy or order.executes_at_market or cost <= order.price * order.quantity

    @invariant()
    def book_is_never_crossed(self) -> None:
        book = self.world.market("BTCUSDT").book
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is None or ask is None or bid.price < ask.price


Exchange.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestExchange = Exchange.TestCase
