"""Cases 60 to 68: each client hears on each market stream that it offers what happened on the exchange."""

from decimal import Decimal
from typing import Any, Final

import pytest

from sim.exchange.clock import SECOND
from sim.exchange.world import World
from tests.clients.cases_market import BUY
from tests.clients.dialect import SYMBOL
from tests.clients.ears import EARS
from tests.clients.process import ClientProcess
from tests.clients.seen import DaySeen, QuotesSeen, levels, numbers
from tests.clients.stage import staged
from tests.sim.exchange.trader import NOW_MS

ASKS_LEFT: Final = levels([("100.01", "0.5"), ("100.02", "2"), ("100.10", "5")])
BIDS: Final = levels([("99.99", "1"), ("99.98", "2"), ("99.90", "5")])
DAY: Final = DaySeen(last=BUY.price, high=BUY.price, low=BUY.price, volume=BUY.quantity)

# Number, kind of stream, and what must be heard of 0.5 bought at 100.01 and the three seconds after it.
HEARINGS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("60", "trade", BUY),
    ("61", "aggregate trade", BUY),
    ("62", "book ticker", QuotesSeen(bid=BIDS[0], ask=ASKS_LEFT[0])),
    ("63", "changes", ([], ASKS_LEFT[:1])),
    ("64", "levels", (BIDS, ASKS_LEFT)),
    ("64", "book", (BIDS, ASKS_LEFT)),
    ("65", "kline", numbers([NOW_MS - NOW_MS % 60_000, *["100.01"] * 4, "0.5"])),
    ("66", "mini ticker", DAY),
    ("67", "ticker", DAY),
    ("68", "average price", Decimal("100.01")),
)
# What is asked of the REST API meanwhile: ccxt fetches the book that it then keeps.
ASKED: Final = {"book": {"depth"}}
PLAYED = [
    pytest.param(kind, surface, expected, id=f"{number}-{surface}")
    for number, kind, expected in HEARINGS
    for surface, ear in EARS.items()
    if kind in ear.kinds
]


def buy_outside(world: World) -> None:
    world.outside_trades(SYMBOL, "BUY", Decimal("0.5"))
    world.clock.advance(us=3 * SECOND)


@pytest.mark.parametrize(("kind", "surface", "expected"), PLAYED)
def test_stream_as_the_client_hears_it(process: ClientProcess, kind: str, surface: str, expected: Any) -> None:
    ear_type = EARS[surface]
    with staged(ear_type.client(process), stands=True) as stage:
        ear = ear_type(stage)
        ear.listen(kind)

        heard = ear.heard(kind, lambda: stage.world(buy_outside))

        assert heard == expected
        assert stage.streams == [ear_type.kinds[kind].stream]
        assert stage.asked() == ASKED.get(kind, set())


def test_every_client_listens_to_five_streams_or_more() -> None:
    assert {surface for surface, ear in EARS.items() if len(ear.kinds) >= 5} == set(EARS)
