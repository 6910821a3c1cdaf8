"""`Refusal`: one numbered request that the exchange refuses, its accepted twin, and what each client makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sim.exchange.clock import HOUR, MINUTE
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.world import World
from tests.clients.case import Play
from tests.clients.dialect import SYMBOL
from tests.clients.stage import Stage
from tests.clients.surfaces import SURFACES
from tests.sim.exchange.trader import api_key

ADDRESS: Final = "127.0.0.1"
NEVER: Final = 999_999
"""No order has that id."""
BAN_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`orders`: how many there are after the refusal. `call` is what a client must offer besides orders."""

    number: str
    words: str
    status: int
    code: int
    provoke: Play
    accept: Play
    call: str = "place_limit"
    stands: bool = False
    orders: int = 0

    def is_offered_by(self, surface: str) -> bool:
        return SURFACES[surface].offers(self.call)


def _place(stage: Stage) -> None:
    stage.client.place_limit("BUY", "0.5", "99.50")


def _moved_clock(us: int) -> Callable[[World], None]:
    return lambda world: world.clock.advance(us=us)


def _with_clock_moved(us: int) -> tuple[Play, Play]:
    """An order while the exchange's clock is off by that much, and one after it was put right."""

    def provoke(stage: Stage) -> None:
        stage.world(_moved_clock(us))
        _place(stage)

    def accept(stage: Stage) -> None:
        stage.world(_moved_clock(-us))
        _place(stage)

    return provoke, accept


def _anew(stage: Stage) -> None:
    stage.open()
    _place(stage)


def _with_wrong_secret(stage: Stage) -> None:
    stage.open(secret="another secret")
    _place(stage)


def _with_unknown_key(stage: Stage) -> None:
    stage.open(key=api_key("z"))
    _place(stage)


def _use_up(world: World) -> None:
    world.limits.charge(ADDRESS, world.now_us(), 6000)


def _beyond_weight(stage: Stage) -> None:
    stage.client.klines()  # some connect only now, and it is the request that is to be refused
    stage.world(_use_up)
    stage.client.klines()


def _in_the_next_minute(stage: Stage) -> None:
    stage.world(_moved_clock(MINUTE))
    stage.client.klines()


def _while_banned(stage: Stage) -> None:
    stage.client.klines()
    stage.world(lambda world: world.limits.ban(ADDRESS, world.now_us(), BAN_S))
    stage.client.klines()


def _after_the_ban(stage: Stage) -> None:
    stage.world(_moved_clock(BAN_S * 1_000_000))
    stage.open()
    stage.client.klines()


def _unanswered(stage: Stage) -> None:
    fault = Fault(kind=FaultKind.ERROR, error="timeout", method="POST", path="/api/v3/order", after_commit=True)
    stage.world(lambda world: world.faults.arm(fault))
    _place(stage)


def _query_own(stage: Stage) -> None:
    stage.client.query(stage.client.place_limit("BUY", "0.5", "99.50").order_id)


def _cancel_own(stage: Stage) -> None:
    stage.client.cancel(stage.client.place_limit("BUY", "0.5", "99.50").order_id)


def _sell_all(stage: Stage) -> None:
    stage.client.place_limit("SELL", "10", "101")
    assert stage.balance("BTC") == (Decimal(0), Decimal(10))


_late, _late_twin = _with_clock_moved(HOUR)
_early, _early_twin = _with_clock_moved(-HOUR)

REFUSALS: Final[Mapping[str, Refusal]] = {
    each.number: each
    for each in (
        Refusal(number="40", words="wrong signature", status=400, code=-1022, provoke=_with_wrong_secret, accept=_anew),
        Refusal(number="41", words="timestamp too old", status=400, code=-1021, provoke=_late, accept=_late_twin),
        Refusal(number="42", words="timestamp ahead", status=400, code=-1021, provoke=_early, accept=_early_twin),
        Refusal(
            number="43",
            words="filter NOTIONAL: an order of less than 5 USDT",
            status=400,
            code=-1013,
            provoke=lambda stage: _ignore(stage.client.place_limit("BUY", "0.01", "99.50")),
            accept=lambda stage: _ignore(stage.client.place_limit("BUY", "0.06", "99.50")),
        ),
        Refusal(
            number="44",
            words="filter PERCENT_PRICE_BY_SIDE: a price below half",
            status=400,
            code=-1013,
            provoke=lambda stage: _ignore(stage.client.place_limit("BUY", "1", "49")),
            accept=lambda stage: _ignore(stage.client.place_limit("BUY", "1", "51")),
        ),
        Refusal(
            number="45",
            words="insufficient balance",
            status=400,
            code=-2010,
            provoke=lambda stage: _ignore(stage.client.place_limit("SELL", "10.1", "101")),
            accept=_sell_all,
        ),
        Refusal(
            number="46",
            words="unknown symbol",
            status=400,
            code=-1121,
            call="depth_of",
            stands=True,
            provoke=lambda stage: _ignore(stage.client.depth_of("NOSUCHUSDT")),
            accept=lambda stage: _ignore(stage.client.depth_of(SYMBOL)),
        ),
        Refusal(
            number="47",
            words="ask for an order that is not there",
            status=400,
            code=-2013,
            provoke=lambda stage: _ignore(stage.client.query(NEVER)),
            accept=_query_own,
        ),
        Refusal(
            number="48",
            words="cancel an order that is not there",
            status=400,
            code=-2011,
            provoke=lambda stage: _ignore(stage.client.cancel(NEVER)),
            accept=_cancel_own,
        ),
        Refusal(
            number="49",
            words="bad parameter: a book of no levels",
            status=400,
            code=-1130,
            call="depth_of",
            stands=True,
            provoke=lambda stage: _ignore(stage.client.depth(limit=0)),
            accept=lambda stage: _ignore(stage.client.depth(limit=5)),
        ),
        Refusal(
            number="50",
            words="too much weight: 429",
            status=429,
            code=-1003,
            stands=True,
            provoke=_beyond_weight,
            accept=_in_the_next_minute,
        ),
        Refusal(
            number="51",
            words="banned: 418",
            status=418,
            code=-1003,
            stands=True,
            provoke=_while_banned,
            accept=_after_the_ban,
        ),
        Refusal(
            number="52",
            words="no answer from the engine, which took the order",
            status=504,
            code=-1007,
            provoke=_unanswered,
            accept=_place,
            orders=1,
        ),
        Refusal(number="53", words="unknown key", status=401, code=-2015, provoke=_with_unknown_key, accept=_anew),
    )
}


def _ignore(_: object) -> None:
    """What a refusal's twin returns is asserted elsewhere, as an operation."""
