"""API keys: which are let in, to what, and what the others are told."""

import json
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.exchange.keys import TESTNET_PERMISSIONS, ApiKey
from sim.exchange.world import World
from tests.sim.exchange.trader import SECRET, Trader

REJECTED = (401, -2015, "Invalid API-key, IP, or permissions for action.")


@pytest.mark.parametrize("key", ["", "short", "k" * 63, "k" * 65, "!" * 64])
def test_key_of_another_form_is_refused_by_its_form(alice: Trader, key: str) -> None:
    alice.key = key

    assert alice.get("account").refusal == (400, -2014, "API-key format invalid.")


def test_unknown_key_is_refused(alice: Trader) -> None:
    alice.key = "z" * 64

    assert alice.get("account").refusal == REJECTED


def test_key_that_is_switched_off_is_refused_until_it_is_on(world: World, alice: Trader) -> None:
    world.keys[alice.key].enabled = False
    assert alice.get("account").refusal == REJECTED

    world.keys[alice.key].enabled = True
    assert alice.get("account").status == 200


def test_key_without_the_permission_may_read_and_not_trade(world: World, alice: Trader) -> None:
    reader = ApiKey(api_key="r" * 64, account="alice", secret=SECRET, permissions=frozenset({"USER_DATA"}))
    world.add_key(reader)
    alice.key = reader.api_key

    assert alice.get("account").status == 200
    assert alice.limit("BUY", 1, 90).refusal == REJECTED
    assert alice.send("POST", "/api/v3/userDataStream").refusal == REJECTED


def test_key_bound_to_an_address_is_refused_elsewhere(world: World, alice: Trader) -> None:
    world.keys[alice.key].addresses = frozenset({"127.0.0.9"})

    assert alice.get("account").refusal == REJECTED
    alice.address = "127.0.0.9"
    assert alice.get("account").status == 200


def test_public_operations_look_at_no_key(alice: Trader) -> None:
    alice.key = "?"

    assert alice.send("GET", "/api/v3/time").status == 200


def test_key_is_looked_at_before_the_parameters(alice: Trader) -> None:
    alice.key = "z" * 64

    assert alice.send("GET", "/api/v3/account", "nonsense=1").refusal == REJECTED


def test_key_that_is_there_already_is_not_added_twice(world: World, alice: Trader) -> None:
    with pytest.raises(SimError) as refused:
        world.add_key(ApiKey(api_key=alice.key, account="alice"))

    assert refused.value.code == "exchange/key_exists"


def test_key_of_nobody_is_not_added(world: World) -> None:
    with pytest.raises(SimError) as refused:
        world.add_key(ApiKey(api_key="n" * 64, account="nobody"))

    assert refused.value.code == "exchange/no_account"


def test_listen_key_lives_an_hour_and_is_kept_alive(world: World, alice: Trader) -> None:
    made = alice.send("POST", "/api/v3/userDataStream").json["listenKey"]
    assert alice.send("POST", "/api/v3/userDataStream").json["listenKey"] == made

    world.clock.advance(us=3_599_000_000)
    assert alice.send("PUT", "/api/v3/userDataStream", f"listenKey={made}").json == {}
    world.clock.advance(us=3_599_000_000)
    assert alice.send("PUT", "/api/v3/userDataStream", f"listenKey={made}").json == {}

    world.clock.advance(us=3_600_000_000)
    gone = (400, -1125, "This listenKey does not exist.")
    assert alice.send("PUT", "/api/v3/userDataStream", f"listenKey={made}").refusal == gone


def test_listen_key_of_another_account_does_not_exist(alice: Trader, bob: Trader) -> None:
    made = alice.send("POST", "/api/v3/userDataStream").json["listenKey"]

    assert bob.send("DELETE", "/api/v3/userDataStream", f"listenKey={made}").json["code"] == -1125
    assert alice.send("DELETE", "/api/v3/userDataStream", f"listenKey={made}").json == {}
    assert alice.send("DELETE", "/api/v3/userDataStream", f"listenKey={made}").json["code"] == -1125


@pytest.mark.parametrize("permission", ["WITHDRAWALS", "MARGIN", "FUTURES", "INTERNAL_TRANSFER", "trade"])
def test_key_that_could_do_more_than_trade_on_the_testnet_is_not_taken(permission: str, record: Path) -> None:
    permissions = frozenset({"USER_DATA", "TRADE", permission})
    with pytest.raises(SimError) as refused:
        ApiKey(api_key="w" * 64, account="alice", secret=SECRET, permissions=permissions)

    assert refused.value.code == "exchange/live_key"
    assert [json.loads(line)["layer"] for line in record.read_text().splitlines()] == ["exchange_double"]


@pytest.mark.parametrize("permissions", [frozenset({"USER_DATA"}), TESTNET_PERMISSIONS], ids=["some", "all"])
def test_key_that_trades_on_the_testnet_alone_is_taken(permissions: frozenset[str], record: Path) -> None:
    ApiKey(api_key="w" * 64, account="alice", secret=SECRET, permissions=permissions)
    assert not record.exists()
