"""Rules about a bot and its exchange: what both hold, and that no order is sent twice. Source: contract §1, §2."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from sim.rules.breach import Breach
from sim.timeline import Event, Timeline

_LOOKED = "exchange.looked"
_SETTLED = "settled"
_ZERO = Decimal(0)


def portfolio_and_exchange_disagree(timeline: Timeline) -> Sequence[Breach]:
    """The portfolio and what the journal says is in flight are what the exchange holds, to the last digit."""
    # Between a reset, or a deposit, and the next cycle that has seen how things stand, the bot cannot know.
    breaches: list[Breach] = []
    is_unheard = False
    for event in timeline.of_kind(_LOOKED, "bot.cycled"):
        if event.kind == "bot.cycled":
            is_unheard = is_unheard and event.detail.get("exchange") != _SETTLED
            continue
        is_unheard = is_unheard or bool(event.detail["changed"])
        if event.detail["portfolio"] is not None:
            breaches += _unlike_journal(event)
            breaches += [] if is_unheard else _unlike_balances(event)
    # What is wrong at one instant mostly is at all later ones.
    return breaches[:1]


def order_without_intent_or_sent_twice(timeline: Timeline) -> Sequence[Breach]:
    """Each order is in the journal before it is sent, under an id of its own, is sent once, and is one of its cycle."""
    sent: set[str] = set()
    taken: set[str] = set()
    intended: dict[str, int] = {}
    breaches: list[Breach] = []
    for event in timeline.of_kind(_LOOKED):
        for name, cycle in event.detail["intended"]:
            if name in intended or cycle in intended.values():
                breaches.append(_twice(event, name, "one intent in its cycle", f"a second one in cycle {cycle}"))
            intended[name] = cycle
        for seen, names, what in (
            (sent, event.detail["sent"], "sent"),
            (taken, event.detail["taken"], "taken by the exchange"),
        ):
            for name in names:
                if name in seen:
                    breaches.append(_twice(event, name, f"{what} once", f"{what} twice"))
                if name not in intended:
                    breaches.append(_twice(event, name, "a line of the journal before", f"{what} without one"))
                seen.add(name)
    return breaches


def _unlike_journal(event: Event) -> Iterator[Breach]:
    kept, in_flight = event.detail["kept"], event.detail["in_flight"]
    if kept != in_flight:
        yield _disagree(event, "orders in flight", f"the journal says {in_flight}", f"the portfolio says {kept}")


def _unlike_balances(event: Event) -> Iterator[Breach]:
    expected = {asset: Decimal(text) for asset, text in event.detail["portfolio"].items()}
    for trade in event.detail["loose"]:
        for asset, text in trade["moves"].items():
            expected[asset] = expected.get(asset, _ZERO) + Decimal(text)
    holds = {asset: Decimal(text) for asset, text in event.detail["holds"].items()}
    for asset in sorted(expected.keys() | holds.keys()):
        mine, theirs = expected.get(asset, _ZERO), holds.get(asset, _ZERO)
        if mine != theirs:
            yield _disagree(event, asset, f"the exchange holds {theirs}", f"portfolio and trades in flight say {mine}")


def _disagree(event: Event, subject: str, before: str, after: str) -> Breach:
    return Breach(
        rule="portfolio_and_exchange_disagree",
        actor="bot",
        subject=subject,
        before=before,
        after=after,
        at=event.at,
    )


def _twice(event: Event, name: Any, before: str, after: str) -> Breach:
    return Breach(
        rule="order_without_intent_or_sent_twice",
        actor="bot",
        subject=f"order {name}",
        before=before,
        after=after,
        at=event.at,
    )
