"""What the exchange tells by itself: trades of each symbol, and what happens to the bot's own orders.

A look sends a question of no consequence and reads until its answer: whatever the exchange had told before is read
then, in its order. What never came cannot be seen so; that is found by asking (`settling`).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from sim.fake_bot.exchange_answers import Report, report_in
from sim.fake_bot.exchange_client import ExchangeClient
from sim.fake_bot.exchange_sockets import Connect, Socket, SocketLost

API_TARGET: Final = "/ws-api/v3"
MAX_EVENTS: Final = 200_000
"""Between two looks; more is a stream out of its mind."""


class Conversation:
    """One connection on which questions are asked and answered, and events come in between."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._asked = 0

    def ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The answer to `question`, and what came before it. Raises: `SocketLost`."""
        self._asked += 1
        self._socket.send(msgspec.json.encode({**question, "id": self._asked}).decode())
        told: list[dict[str, Any]] = []
        for _ in range(MAX_EVENTS):
            message = _decoded(self._socket.receive())
            if message.get("id") == self._asked:
                return message, told
            told.append(message)
        raise SocketLost(f"{MAX_EVENTS} events and no answer among them")

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


class UserEvents:
    """The reports of the bot's own orders, by the WebSocket API."""

    def __init__(self, connect: Connect, client: ExchangeClient) -> None:
        self._connect = connect
        self._client = client
        self._conversation: Conversation | None = None

    @property
    def is_connected(self) -> bool:
        """False where events may have been missed since the last look."""
        return self._conversation is not None

    def connect(self) -> None:
        """Effects: from now on reports come. Raises: `SocketLost`; `Unanswered`, `SaidNo` for the time."""
        parameters = {"apiKey": self._client.api_key, "timestamp": self._client.now_ms()}
        text = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
        subscribe = {
            "method": "userDataStream.subscribe.signature",
            "params": {**parameters, "signature": self._client.signature(text)},
        }
        conversation = Conversation(self._connect(API_TARGET))
        answer, _ = conversation.ask(subscribe)
        if answer.get("status") != 200:
            conversation.close()
            raise SocketLost(f"the subscription was refused with status {answer.get('status')}")
        self._conversation = conversation

    def look(self) -> Iterator[Report]:
        """The reports that came since the last look, in their order. Raises: `SocketLost`; it is not connected then."""
        if self._conversation is None:
            raise SocketLost("it is not connected")
        try:
            answer, told = self._conversation.ask({"method": "ping"})
        except SocketLost:
            self.close()
            raise
        for message in told:
            try:
                report = report_in(message.get("event") or {})
            except msgspec.ValidationError as error:
                self.close()
                raise SocketLost(f"an event that cannot be read: {error}") from error
            if report is not None:
                yield report
        if answer.get("status") != 200:
            self.close()
            raise SocketLost(f"a ping was answered with status {answer.get('status')}")

    def close(self) -> None:
        """Effects: no report comes any more."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None


class PriceEvents:
    """The last price of each symbol, by the streams of their trades."""

    def __init__(self, connect: Connect, symbols: Sequence[str]) -> None:
        self._connect = connect
        self._target = "/stream?streams=" + "/".join(f"{symbol.lower()}@trade" for symbol in symbols)
        self._conversation: Conversation | None = None

    @property
    def is_connected(self) -> bool:
        """False where trades may have been missed since the last look."""
        return self._conversation is not None

    def connect(self) -> None:
        """Effects: from now on trades come. Raises: `SocketLost`."""
        self._conversation = Conversation(self._connect(self._target))

    def look(self) -> dict[str, Decimal]:
        """The prices that moved since the last look, by symbol. Raises: `SocketLost`; it is not connected then."""
        if self._conversation is None:
            raise SocketLost("it is not connected")
        moved: dict[str, Decimal] = {}
        try:
            _, told = self._conversation.ask({"method": "LIST_SUBSCRIPTIONS"})
            for message in told:
                event = message.get("data") or {}
                if event.get("e") == "trade":
                    moved[str(event["s"])] = Decimal(str(event["p"]))
        except (SocketLost, KeyError, ArithmeticError) as error:
            self.close()
            raise SocketLost(f"prices, {error}") from error
        return moved

    def close(self) -> None:
        """Effects: no trade comes any more."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None


def _decoded(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SocketLost("a message that is no JSON object") from error
