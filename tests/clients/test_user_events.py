"""Cases 70 to 73: what happens to an account, as each client hears it and as the exchange told it."""

from decimal import Decimal
from functools import partial
from typing import Final

import pytest

from tests.clients.cases_orders import BOUGHT, charge_takers, fill
from tests.clients.events_seen import ReportSeen
from tests.clients.process import ClientProcess
from tests.clients.seen import Balances
from tests.clients.stage import Stage, staged
from tests.clients.user_ears import USER_EARS, CcxtUserEar

SUBSCRIBE = "userDataStream.subscribe.signature"
UNSUBSCRIBE = "userDataStream.unsubscribe"
# How each subscribes: what is asked of the exchange.
SUBSCRIBED: Final[dict[str, set[str]]] = {
    "ccxt_pro": {SUBSCRIBE},
    "python_binance_sockets": {SUBSCRIBE},
    "sdk_api": {SUBSCRIBE},
    "sdk_streams": set(),
}
# Who can end it by a request.
UNSUBSCRIBED: Final = ("python_binance_sockets", "sdk_api")
LIFE = [
    ("NEW", "NEW", "0"),
    ("TRADE", "PARTIALLY_FILLED", "0.2"),
    ("TRADE", "FILLED", "0.5"),
    ("NEW", "NEW", "0"),
    ("CANCELED", "CANCELED", "0"),
]


def live(stage: Stage) -> None:
    """An order is placed, filled in two parts; another is placed and canceled."""
    placed = stage.client.place_limit(*BOUGHT)
    fill(stage, placed.order_id, "0.2")
    fill(stage, placed.order_id, "0.3")
    stage.client.cancel(stage.client.place_limit("BUY", "1", "90").order_id)


def reports(events: list[ReportSeen | Balances]) -> list[tuple[str, str, Decimal]]:
    return [(each.execution, each.status, each.executed) for each in events if isinstance(each, ReportSeen)]


@pytest.mark.parametrize("surface", USER_EARS, ids=lambda surface: f"70-{surface}")
def test_every_event_of_an_account_comes_in_order(process: ClientProcess, surface: str) -> None:
    ear_type = USER_EARS[surface]
    with staged(ear_type.client(process), stands=False) as stage:
        ear = ear_type(stage)
        stream = ear.listen()
        stage.await_stream(stream)
        assert stage.asked() == SUBSCRIBED[surface]

        live(stage)

        assert reports(stage.told) == [(execution, status, Decimal(done)) for execution, status, done in LIFE]
        assert [ear.next() for _ in stage.told] == stage.told
        assert stage.streams == [stream]


def test_70_ccxt_pro_hears_each_report_of_an_order(process: ClientProcess) -> None:
    with staged(CcxtUserEar.client(process), stands=False) as stage:
        ear = CcxtUserEar(stage)
        stage.await_stream(ear.listen())

        heard = [
            ear.report(lambda: stage.client.place_limit(*BOUGHT)),
            ear.report(partial(fill, stage, 1, "0.2")),
            ear.report(partial(fill, stage, 1, "0.3")),
            ear.report(lambda: stage.client.place_limit("BUY", "1", "90")),
            ear.report(lambda: stage.client.cancel(2)),
        ]

        assert reports([*heard]) == [(execution, status, Decimal(done)) for execution, status, done in LIFE]
        assert heard == [each for each in stage.told if isinstance(each, ReportSeen)]
        assert stage.asked() == {*SUBSCRIBED[ear.surface], "order_place", "order_cancel"}


def test_71_ccxt_pro_hears_balances(process: ClientProcess) -> None:
    with staged(CcxtUserEar.client(process), stands=False) as stage:
        ear = CcxtUserEar(stage)
        stage.await_stream(ear.listen())

        heard = ear.balances(lambda: stage.client.place_limit(*BOUGHT))

        assert heard["USDT"] == (Decimal("999950.25"), Decimal("49.75")) == stage.balance("USDT")


def test_72_ccxt_pro_hears_a_trade_and_its_commission(process: ClientProcess) -> None:
    with staged(CcxtUserEar.client(process), stands=False) as stage:
        stage.world(charge_takers)
        ear = CcxtUserEar(stage)
        stage.await_stream(ear.listen())

        heard = ear.fill(lambda: stage.client.place_market("BUY", "0.5"))

        assert (heard.price, heard.commission, heard.is_maker) == (Decimal("100.01"), Decimal("0.0005"), False)
        assert [heard] == stage.fills()


@pytest.mark.parametrize("surface", UNSUBSCRIBED, ids=lambda surface: f"73-{surface}")
def test_who_has_unsubscribed_is_told_nothing_more(process: ClientProcess, surface: str) -> None:
    ear_type = USER_EARS[surface]
    with staged(ear_type.client(process), stands=False) as stage:
        ear = ear_type(stage)
        stage.await_stream(ear.listen())

        ear.stop()

        assert stage.asked() == {SUBSCRIBE, UNSUBSCRIBE}
        assert [entry.status for entry in stage.log()] == [200, 200]
