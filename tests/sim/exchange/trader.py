"""A client that speaks to the core without a transport, and the world it usually speaks to."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from sim.exchange.clock import Clock
from sim.exchange.core import handle
from sim.exchange.keys import ApiKey
from sim.exchange.rules import ExchangeRules
from sim.exchange.wire import Answer, Request
from sim.exchange.world import World

NOW_US = 1_781_506_395_799_000
NOW_MS = NOW_US // 1000
SECRET = "a secret of the test"
RICH: Mapping[str, Decimal] = {"BTC": Decimal(10), "USDT": Decimal(1_000_000), "BNB": Decimal(100), "ETH": Decimal(50)}


def amount(text: str) -> Decimal:
    return Decimal(text)


def levels(*pairs: tuple[str, str]) -> list[tuple[Decimal, Decimal]]:
    """Levels of a book from text."""
    return [(Decimal(price), Decimal(quantity)) for price, quantity in pairs]


def api_key(letter: str) -> str:
    return letter * 64


def still_world(*, rules: ExchangeRules | None = None) -> World:
    """A world whose clock stands, whose BTCUSDT last traded at 100.00, and whose books are empty."""
    return World(
        clock=Clock.standing_at(NOW_US),
        rules=rules,
        moving=False,
        prices={"BTCUSDT": Decimal("100.00"), "BNBUSDT": Decimal("10.00"), "ETHUSDT": Decimal("50.00")},
    )


@dataclass(frozen=True)
class Reply:
    """An answer with its body read."""

    answer: Answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.answer.body)

    @property
    def refusal(self) -> tuple[int, int, str]:
        """Status, code and text."""
        return self.status, self.json["code"], self.json["msg"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.answer.headers}


class Trader:
    """An account's owner. `address` is where the requests come from."""

    def __init__(self, world: World, name: str, *, address: str = "127.0.0.1") -> None:
        self.world = world
        self.name = name
        self.key = api_key(name[0])
        self.address = address

    def send(self, method: str, path: str, query: str = "", *, body: bytes = b"", **headers: str) -> Reply:
        """A request as it stands, with the key's header and these."""
        sent = {"X-MBX-APIKEY": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        target = f"{path}?{query}" if query else path
        return Reply(handle(self.world, Request.of(method, target, headers=sent, body=body, address=self.address)))

    def query(self, **given: object) -> str:
        """The parameters, encoded, with a timestamp if there is none."""
        return urlencode({"timestamp": self.world.clock.now_us() // 1000, **given}, quote_via=quote)

    def signed(self, method: str, path: str, /, **given: object) -> Reply:
        query = self.query(**given)
        return self.send(method, f"/api/v3/{path}", f"{query}&signature={signature(query)}")

    def get(self, path: str, /, **given: object) -> Reply:
        return self.signed("GET", path, **given)

    def place(self, **given: object) -> Reply:
        """POST order on BTCUSDT, where nothing else is said."""
        return self.signed("POST", "order", **{"symbol": "BTCUSDT", **given})

    def limit(self, side: str, quantity: object, price: object, **given: object) -> Reply:
        return self.place(
            side=side, type="LIMIT", **{"timeInForce": "GTC", "quantity": quantity, "price": price, **given}
        )

    def market(self, side: str, quantity: object, **given: object) -> Reply:
        return self.place(side=side, type="MARKET", quantity=quantity, **given)

    def cancel(self, **given: object) -> Reply:
        return self.signed("DELETE", "order", **{"symbol": "BTCUSDT", **given})

    def order(self, order_id: int) -> Any:
        """The order as GET order tells it."""
        return self.get("order", symbol="BTCUSDT", orderId=order_id).json

    def holds(self, asset: str) -> tuple[str, str]:
        """Free and locked, as GET account tells them."""
        [found] = [each for each in self.get("account").json["balances"] if each["asset"] == asset]
        return found["free"], found["locked"]


def signature(payload: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def open_trader(world: World, name: str = "alice", **given: Any) -> Trader:
    """A new account of that name, rich where nothing else is said, and its owner."""
    world.open_account(
        name, key=ApiKey(api_key=api_key(name[0]), account=name, secret=SECRET), **{"balances": RICH, **given}
    )
    return Trader(world, name)
