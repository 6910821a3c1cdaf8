"""Every filter at its edge: an order that it refuses, and its neighbour that passes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sim.exchange.rules import ExchangeRules, changed_rules, parsed_rules
from sim.exchange.scorecard.provoked import Change, as_it_is
from sim.exchange.scorecard.provoked_orders import QUOTED
from sim.exchange.scorecard.stage import LIMIT, MARKET, STOP, SYMBOL, Given, Stage

_SELL: Final[Given] = {**MARKET, "side": "SELL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A filter, with `rule` where the recorded rules have it otherwise, and two orders on either side of its edge."""

    name: str
    fails: Given
    passes: Given
    rule: Mapping[str, Any] = field(default_factory=dict)
    before: Change = as_it_is

    def rules(self) -> ExchangeRules:
        """The rules with that filter."""
        if not self.name.startswith("EXCHANGE_"):
            return changed_rules(SYMBOL, filters={self.name: self.rule} if self.rule else {})
        payload = dict(changed_rules(SYMBOL).payload)
        payload["exchangeFilters"] = [{"filterType": self.name, **self.rule}]
        return parsed_rules(payload)


def _order(base: Given, **changes: str) -> Given:
    return {**base, **changes}


def _one_more(order: Given) -> Change:
    """Such an order is there already, beside the one that rests from the beginning."""

    def before(stage: Stage) -> None:
        stage.place(order, newOrderRespType="ACK")

    return before


_ICEBERG: Final = _order(LIMIT, icebergQty="0.5")
EDGES: Final[tuple[Edge, ...]] = (
    Edge(name="PRICE_FILTER", fails=_order(LIMIT, price="90.001"), passes=_order(LIMIT, price="90.01")),
    Edge(name="PRICE_FILTER", fails=_order(STOP, stopPrice="90.001"), passes=_order(STOP, stopPrice="90.01")),
    Edge(
        name="PERCENT_PRICE",
        rule={"multiplierUp": "1.5", "multiplierDown": "0.7", "avgPriceMins": 5},
        fails=_order(LIMIT, price="69.00"),
        passes=_order(LIMIT, price="71.00"),
    ),
    Edge(name="PERCENT_PRICE_BY_SIDE", fails=_order(LIMIT, price="49.00"), passes=_order(LIMIT, price="51.00")),
    Edge(name="LOT_SIZE", fails=_order(LIMIT, quantity="1.000001"), passes=_order(LIMIT, quantity="1.00001")),
    Edge(name="LOT_SIZE", fails=_order(LIMIT, icebergQty="0.500001"), passes=_order(LIMIT, icebergQty="0.50001")),
    Edge(name="MARKET_LOT_SIZE", fails=_order(_SELL, quantity="165.02220"), passes=_order(_SELL, quantity="165")),
    Edge(
        name="MIN_NOTIONAL",
        rule={"minNotional": "50.00000000", "applyToMarket": True, "avgPriceMins": 5},
        fails=_order(LIMIT, quantity="0.55"),
        passes=_order(LIMIT, quantity="0.56"),
    ),
    Edge(name="NOTIONAL", fails=_order(LIMIT, quantity="0.05"), passes=_order(LIMIT, quantity="0.06")),
    Edge(
        name="NOTIONAL",
        rule={"maxNotional": "100.00000000"},
        fails=_order(LIMIT, quantity="1.2"),
        passes=_order(LIMIT, quantity="1.1"),
    ),
    Edge(name="NOTIONAL", fails=_order(QUOTED, quoteOrderQty="4.99"), passes=_order(QUOTED, quoteOrderQty="5")),
    Edge(name="ICEBERG_PARTS", fails=_order(LIMIT, icebergQty="0.00999"), passes=_order(LIMIT, icebergQty="0.01")),
    Edge(name="TRAILING_DELTA", fails=_order(STOP, trailingDelta="9"), passes=_order(STOP, trailingDelta="10")),
    Edge(name="TRAILING_DELTA", fails=_order(STOP, trailingDelta="2001"), passes=_order(STOP, trailingDelta="2000")),
    Edge(
        name="MAX_POSITION",
        rule={"maxPosition": "1003.00000000"},
        fails=_order(LIMIT, quantity="1.1"),
        passes=_order(LIMIT, quantity="1"),
    ),
    Edge(name="MAX_NUM_ORDERS", rule={"maxNumOrders": 2}, fails=LIMIT, passes=LIMIT, before=_one_more(LIMIT)),
    Edge(name="MAX_NUM_ALGO_ORDERS", rule={"maxNumAlgoOrders": 1}, fails=STOP, passes=STOP, before=_one_more(STOP)),
    Edge(
        name="MAX_NUM_ICEBERG_ORDERS",
        rule={"maxNumIcebergOrders": 1},
        fails=_ICEBERG,
        passes=_ICEBERG,
        before=_one_more(_ICEBERG),
    ),
    Edge(name="EXCHANGE_MAX_NUM_ORDERS", rule={"maxNumOrders": 2}, fails=LIMIT, passes=LIMIT, before=_one_more(LIMIT)),
    Edge(
        name="EXCHANGE_MAX_NUM_ALGO_ORDERS",
        rule={"maxNumAlgoOrders": 1},
        fails=STOP,
        passes=STOP,
        before=_one_more(STOP),
    ),
    Edge(
        name="EXCHANGE_MAX_NUM_ICEBERG_ORDERS",
        rule={"maxNumIcebergOrders": 1},
        fails=_ICEBERG,
        passes=_ICEBERG,
        before=_one_more(_ICEBERG),
    ),
)
"""The neighbour of a filter that counts is the same order while there is one fewer."""
