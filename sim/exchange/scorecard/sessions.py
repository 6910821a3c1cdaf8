"""The requests of the methods that a connection of the WebSocket API has for itself."""

from collections.abc import Mapping
from typing import Final

from sim.exchange.scorecard.cases import Case
from sim.exchange.scorecard.stage import MESSAGES, Asked, Given, Stage


def _subscribed(stage: Stage) -> Given:
    MESSAGES.ask(stage, Asked(operation="userDataStream.subscribe.signature"))
    return {}


SESSION_CASES: Final[Mapping[str, Mapping[str, Case]]] = {
    "userDataStream.subscribe.signature": {"plain": Case()},
    "userDataStream.unsubscribe": {"plain": Case(prepare=_subscribed)},
    "session.subscriptions": {"plain": Case(prepare=_subscribed)},
    "session.status": {"plain": Case()},
}
