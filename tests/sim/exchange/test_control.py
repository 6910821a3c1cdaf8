"""The control plane: what it commands, what it refuses, and that no client of the API gets there."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from sim.errors import SimError
from sim.exchange.control import COMMANDS, control
from sim.exchange.skins.threads import ServedWorld, served
from sim.exchange.streams.connections import open_session
from sim.exchange.streams.frames import Text
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader, amount


@pytest.fixture
def server(world: World, alice: Trader) -> Iterator[ServedWorld]:
    """The world with alice, and its control plane, on loopback."""
    with served(world) as running:
        yield running


def command(server: ServedWorld, name: str, payload: Any = None, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.control.token}"}
    return httpx.post(f"{server.control.url}/{name}", json=payload, **{"headers": headers, **options})


def test_clock_stands_moves_and_runs(world: World) -> None:
    control(world, "clock/stand", {"at_ms": 1000})
    control(world, "clock/advance", {"ms": -1})
    assert world.clock.now_us() == 999_000

    control(world, "clock/run", {"shift_ms": 5000})
    assert not world.clock.stands
    control(world, "clock/stand", {"at_ms": NOW_MS})


def test_market_is_moved_by_hand(world: World, alice: Trader) -> None:
    control(world, "book", {"symbol": "BTCUSDT", "bids": [["99", "1"]], "asks": [["101", "1"], ["102", "1"]]})
    traded = control(world, "trade", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "5", "limit": "101"})
    alice.limit("BUY", 2, 100)
    control(world, "fill", {"symbol": "BTCUSDT", "order_id": 1, "quantity": "0.5"})
    control(world, "price", {"symbol": "ETHUSDT", "price": "60"})
    control(world, "status", {"symbol": "ETHUSDT", "status": "HALT"})

    assert traded == "1"
    assert alice.order(1)["executedQty"] == "0.50000000"
    assert world.market("ETHUSDT").tape.last_price == 60
    assert alice.limit("BUY", 1, 50, symbol="ETHUSDT").json["msg"] == "Market is closed."


def test_market_follows_its_path_again(world: World) -> None:
    control(world, "path", {"symbol": "BTCUSDT", "seed": 3})
    before = world.market("BTCUSDT").tape.next_id

    control(world, "clock/advance", {"ms": 60_000})

    assert world.market("BTCUSDT").tape.next_id == before + 4


def test_market_follows_a_script_to_its_end(world: World, alice: Trader) -> None:
    alice.limit("BUY", "0.1", "91")
    control(
        world,
        "script",
        {"symbol": "BTCUSDT", "prices": [[NOW_MS - 1, "500"], [NOW_MS + 1000, "95"], [NOW_MS + 2000, "90"]]},
    )
    control(world, "clock/advance", {"ms": 1500})
    between = (world.market("BTCUSDT").tape.last_price, alice.order(1)["status"])
    control(world, "clock/advance", {"ms": 3_600_000})

    assert between == (amount("95"), "NEW")
    assert world.market("BTCUSDT").tape.last_price == 90
    assert alice.get("myTrades", symbol="BTCUSDT").json[0]["time"] == NOW_MS + 2000


@pytest.mark.parametrize("prices", [[[2, "1"], [1, "1"]], [[1, "1"], [1, "2"]], [[1, "0"]]], ids=str)
def test_script_that_is_none_is_refused(world: World, prices: list[list[object]]) -> None:
    with pytest.raises(SimError) as refused:
        control(world, "script", {"symbol": "BTCUSDT", "prices": prices})

    assert refused.value.code == "exchange/bad_script"


def test_account_is_opened_with_key_rates_and_balances(world: World) -> None:
    control(
        world,
        "account",
        {
            "name": "dora",
            "api_key": "d" * 64,
            "secret": "a secret of the test",
            "balances": {"BTC": "2"},
            "rates": {"taker": "0.001"},
        },
    )
    control(world, "deposit", {"account": "dora", "asset": "BTC", "amount": "-0.5"})
    dora = Trader(world, "dora")

    assert dora.holds("BTC") == ("1.50000000", "0.00000000")
    assert dora.get("account").json["commissionRates"]["taker"] == "0.00100000"
    assert control(world, "keys", {"account": "dora", "enabled": False}) == 1
    assert dora.get("account").status == 401


def test_stream_faults_are_armed_told_and_cleared(world: World) -> None:
    fault = {"kind": "silence", "stream": "btcusdt@.*", "name": "quiet"}

    assert control(world, "streams/faults/arm", {"faults": [fault]}) == 1

    [told] = control(world, "streams/faults", {})
    assert (told["kind"], told["stream"], told["met"]) == ("silence", "btcusdt@.*", 0)
    assert control(world, "streams/faults/clear", {"name": "quiet"}) == 1
    assert control(world, "streams/faults", {}) == []


@pytest.mark.parametrize("fault", [{"kind": "no such"}, {"kind": "drop", "stream": "("}, {"kind": "drop", "delay": 1}])
def test_bad_stream_fault_arms_none_of_them(world: World, fault: dict[str, Any]) -> None:
    with pytest.raises(SimError) as refused:
        control(world, "streams/faults/arm", {"faults": [{"kind": "drop"}, fault]})

    assert refused.value.code == "exchange/bad_fault"
    assert control(world, "streams/faults", {}) == []


def test_shutdown_is_announced_to_streams(world: World) -> None:
    session = open_session(world, "/ws")

    control(world, "streams/shutdown", {})

    assert session.take() == [Text(f'{{"e":"serverShutdown","E":{NOW_MS}}}')]
    session.end()


def test_faults_are_armed_told_and_cleared(world: World, alice: Trader) -> None:
    armed = control(world, "faults/arm", {"faults": [{"kind": "error", "error": "server_busy", "name": "busy"}]})
    refused = alice.send("GET", "/api/v3/ping").status
    [told] = control(world, "faults", {})

    assert (armed, refused, told["name"], told["met"]) == (1, 503, "busy", 1)
    assert control(world, "faults/clear", {"name": "busy"}) == 1
    assert control(world, "faults", None) == []


def test_bad_fault_among_good_ones_arms_none(world: World) -> None:
    with pytest.raises(SimError):
        control(world, "faults/arm", {"faults": [{"kind": "drop"}, {"kind": "no such"}]})

    assert control(world, "faults", {}) == []


def test_barriers_bans_and_audits(world: World, alice: Trader) -> None:
    world.barriers.wait("gate", lambda: None)
    assert control(world, "barrier/waiting", {}) == {"gate": 1}
    assert control(world, "barrier/open", {"name": "gate"}) == 1
    control(world, "barrier/shut", {"name": "gate"})
    assert world.barriers.is_shut("gate")

    alice.get("account")
    control(world, "ban", {"address": "127.0.0.1", "seconds": 60})
    assert alice.get("account").status == 418
    assert [entry["status"] for entry in control(world, "requests", {"number": 0})] == [200, 418]
    assert control(world, "requests", {"number": 2}) == []
    assert control(world, "breaches", {}) == []
    assert control(world, "refused_hosts", {}) == []
    assert control(world, "snapshot", {})["accounts"]["alice"]["balances"]["BTC"]["free"] == "10.00000000"


def test_wipe_by_command(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)

    control(world, "wipe", {})

    assert alice.get("openOrders").json == []


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("explode", {}, "exchange/no_command"),
        ("price", {}, "exchange/bad_command"),
        ("price", {"symbol": "BTCUSDT", "price": "dear"}, "exchange/bad_command"),
        ("price", {"symbol": "BTCUSDT", "price": "1", "currency": "USDT"}, "exchange/bad_command"),
        ("price", {"symbol": "NOSUCH", "price": "1"}, "exchange/no_symbol"),
        ("price", [], "exchange/bad_command"),
        ("price", {"symbol": "BTCUSDT", "price": "0"}, "exchange/bad_amount"),
        ("price", {"symbol": "BTCUSDT", "price": "NaN"}, "exchange/bad_command"),
        ("deposit", {"account": "alice", "asset": "BTC", "amount": "Infinity"}, "exchange/bad_command"),
        ("book", {"symbol": "BTCUSDT", "bids": [["1", "sNaN"]], "asks": []}, "exchange/bad_command"),
        ("account", {"name": "odd", "rates": {"maker": "NaN"}}, "exchange/bad_command"),
        ("trade", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "-1"}, "exchange/bad_amount"),
        ("trade", {"symbol": "BTCUSDT", "side": "buy", "quantity": "1"}, "exchange/bad_command"),
        ("status", {"symbol": "BTCUSDT", "status": "OPEN"}, "exchange/bad_command"),
        ("account", {"name": "poor", "balances": {"BTC": "-1"}}, "exchange/overdrawn"),
        ("deposit", {"account": "nobody", "asset": "BTC", "amount": "1"}, "exchange/no_account"),
    ],
    ids=str,
)
def test_command_that_is_none_is_refused(world: World, name: str, payload: Any, code: str) -> None:
    with pytest.raises(SimError) as refused:
        control(world, name, payload)

    assert refused.value.code == code


def test_command_over_the_wire(server: ServedWorld) -> None:
    done = command(server, "price", {"symbol": "BTCUSDT", "price": "123.45"})

    assert (done.status_code, done.json()) == (200, {"result": None})
    assert server.call(lambda world: world.market("BTCUSDT").tape.last_price) == Decimal("123.45")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}], ids=str)
def test_command_without_the_token_is_refused(server: ServedWorld, headers: dict[str, str]) -> None:
    refused = command(server, "wipe", {}, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (401, "exchange/no_token")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"{", "exchange/bad_command"), (b"\xff", "exchange/bad_command"), (b"[]", "exchange/bad_command")],
)
def test_command_that_is_no_json_is_refused(server: ServedWorld, content: bytes, code: str) -> None:
    headers = {"Authorization": f"Bearer {server.control.token}"}

    refused = httpx.post(f"{server.control.url}/price", content=content, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (400, code)


def test_only_post_commands(server: ServedWorld) -> None:
    headers = {"Authorization": f"Bearer {server.control.token}"}

    assert httpx.get(f"{server.control.url}/wipe", headers=headers).status_code == 405


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_is_reached_by_the_port_of_the_api(server: ServedWorld, name: str) -> None:
    headers = {"Authorization": f"Bearer {server.control.token}"}

    statuses = {
        httpx.post(f"{server.api.url}{prefix}/{name}", json={}, headers=headers).status_code
        for prefix in ("", "/control", "/api/v3")
    }

    assert statuses <= {404, 405}


def test_no_operation_is_reached_by_the_port_of_the_control_plane(server: ServedWorld) -> None:
    assert httpx.get(f"{server.control.url}/api/v3/ping").status_code == 401


def test_token_is_not_shown(server: ServedWorld) -> None:
    assert server.control.token not in repr(server)
