"""The cases of the rules about a bot and its exchange: what breaks each, and a clean twin."""

from typing import Any

from sim.timeline import Timeline
from tests.sim.rules.told_managed import Tell, together

HOLDS = {"BTC": "1.5", "USDT": "900"}
BOUGHT = {"order": "s1-1", "trade": 7, "moves": {"BTC": "0.5", "USDT": "-100"}}
BEFORE = {"BTC": "1", "USDT": "1000"}
FLYING: dict[str, Any] = {"kept": ["s1-1"], "in_flight": ["s1-1"]}
RULE, TWICE = "portfolio_and_exchange_disagree", "order_without_intent_or_sent_twice"
ONE_ORDER: dict[str, Any] = {"intended": [["s1-1", 4]], "sent": ["s1-1"], "taken": ["s1-1"]}


def looked(**changed: Any) -> Tell:
    """A look at a bot and its exchange that agree, but for what is `changed`."""
    detail = {
        "holds": HOLDS,
        "portfolio": HOLDS,
        "kept": [],
        "in_flight": [],
        "loose": [],
        "taken": [],
        "sent": [],
        "intended": [],
        "changed": [],
        **changed,
    }

    def tell(timeline: Timeline) -> None:
        timeline.record(actor="witness", kind="exchange.looked", subject="bot", **detail)

    return tell


def cycled(exchange: str) -> Tell:
    def tell(timeline: Timeline) -> None:
        timeline.record(actor="bot", kind="bot.cycled", subject="100", exchange=exchange)

    return tell


RESET = looked(portfolio=BEFORE, changed=["WorldWiped"])

EXCHANGE_CASES: list[tuple[str, Tell, Tell]] = [
    # One unit in the last place.
    (RULE, looked(portfolio={"BTC": "1.50000001", "USDT": "900"}), looked(portfolio={"BTC": "1.5", "USDT": "900.00"})),
    (RULE, looked(portfolio={"USDT": "900"}), looked(holds={"USDT": "900"}, portfolio={"USDT": "900"})),
    # A trade of an order in flight explains the difference; one that the portfolio holds already does not.
    (RULE, looked(portfolio=BEFORE, **FLYING), looked(portfolio=BEFORE, loose=[BOUGHT], **FLYING)),
    (RULE, looked(loose=[BOUGHT], **FLYING), looked(**FLYING)),
    # Only what the journal says is in flight.
    (RULE, looked(kept=["s1-1"]), looked(**FLYING)),
    (RULE, looked(in_flight=["s1-1"]), looked(**FLYING)),
    # After a reset the bot cannot know, until it has said that it does.
    (
        RULE,
        together(RESET, cycled("settled"), looked(portfolio=BEFORE)),
        together(RESET, cycled("in_doubt"), looked(portfolio=BEFORE)),
    ),
    # Before it has a portfolio it says nothing.
    (RULE, looked(portfolio={}), looked(portfolio=None)),
    (TWICE, looked(**{**ONE_ORDER, "sent": ["s1-1", "s1-1"]}), looked(**ONE_ORDER)),
    (TWICE, together(looked(**ONE_ORDER), looked(taken=["s1-1"])), together(looked(**ONE_ORDER), looked())),
    (TWICE, looked(sent=["s1-1"]), looked(**ONE_ORDER)),
    # The line came after the order.
    (
        TWICE,
        together(looked(taken=["s1-1"]), looked(intended=[["s1-1", 4]])),
        together(looked(intended=[["s1-1", 4]]), looked(taken=["s1-1"], sent=["s1-1"])),
    ),
    # Sent again under another id.
    (
        TWICE,
        looked(intended=[["s1-1", 4], ["s1-2", 4]], sent=["s1-1", "s1-2"]),
        looked(intended=[["s1-1", 4], ["s1-2", 5]], sent=["s1-1", "s1-2"]),
    ),
]
