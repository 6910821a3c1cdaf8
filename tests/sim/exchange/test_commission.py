"""What fills cost: roles, kinds, rounding, and the discount asset."""

import pytest

from sim.exchange.commission import CommissionRates, in_received_asset, rates_of
from sim.exchange.world import World
from tests.sim.exchange.trader import RICH, Trader, amount, open_trader

STANDARD = rates_of({"maker": "0.001", "taker": "0.002", "buyer": "0.0001", "seller": "0.0002"})


def test_example_of_the_public_explanation() -> None:
    received = amount("17491.25")
    standard = rates_of({"taker": "0.00000020", "seller": "0.00000040"})
    tax = rates_of({"taker": "0.00000114", "seller": "0.00000116"})

    def cost(rates: CommissionRates) -> str:
        return str(in_received_asset(rates, received, is_maker=False, is_buyer=False))

    assert cost(CommissionRates(standard=standard)) == "0.01049475"
    assert cost(CommissionRates(standard=rates_of({}), tax=tax)) == "0.04022988"
    assert cost(CommissionRates(standard=standard, tax=tax)) == "0.05072463"


@pytest.mark.parametrize(
    ("side", "is_maker", "commission", "asset"),
    [
        ("BUY", False, "0.00210000", "BTC"),
        ("SELL", False, "0.22000000", "USDT"),
        ("BUY", True, "0.00110000", "BTC"),
        ("SELL", True, "0.12000000", "USDT"),
    ],
)
def test_commission_is_taken_from_what_is_received(
    world: World, bob: Trader, side: str, is_maker: bool, commission: str, asset: str
) -> None:
    carol = open_trader(world, "carol", rates=CommissionRates(standard=STANDARD))
    other = {"BUY": "SELL", "SELL": "BUY"}[side]
    first, second = {True: ((carol, side), (bob, other)), False: ((bob, other), (carol, side))}[is_maker]

    first[0].limit(first[1], 1, 100)
    second[0].limit(second[1], 1, 100)

    [fill] = carol.get("myTrades", symbol="BTCUSDT").json
    assert (fill["commission"], fill["commissionAsset"], fill["isMaker"]) == (commission, asset, is_maker)
    assert world.ledger.fees[asset] == amount(commission)


def test_discount_asset_pays_less_at_its_price(world: World, bob: Trader) -> None:
    carol = open_trader(world, "carol", rates=CommissionRates(standard=STANDARD), pays_in_discount_asset=True)
    bob.limit("BUY", 1, 100)

    carol.limit("SELL", 1, 100)

    [fill] = carol.get("myTrades", symbol="BTCUSDT").json
    # 0.22 USDT less a quarter, at 10 USDT for a BNB.
    assert (fill["commission"], fill["commissionAsset"]) == ("0.01650000", "BNB")
    assert carol.holds("USDT") == ("1000100.00000000", "0.00000000")


def test_discount_asset_that_does_not_suffice_is_left_alone(world: World, bob: Trader) -> None:
    poor = {**RICH, "BNB": amount("0.01649999")}
    carol = open_trader(
        world, "carol", rates=CommissionRates(standard=STANDARD), pays_in_discount_asset=True, balances=poor
    )
    bob.limit("BUY", 1, 100)

    carol.limit("SELL", 1, 100)

    assert carol.get("myTrades", symbol="BTCUSDT").json[0]["commissionAsset"] == "USDT"
    assert carol.holds("BNB") == ("0.01649999", "0.00000000")


def test_rates_are_told(world: World) -> None:
    carol = open_trader(world, "carol", rates=CommissionRates(standard=STANDARD, tax=STANDARD))

    found = carol.get("account/commission", symbol="BTCUSDT").json
    account = carol.get("account").json

    assert list(found) == ["symbol", "standardCommission", "specialCommission", "taxCommission", "discount"]
    assert found["standardCommission"] == {
        "maker": "0.00100000",
        "taker": "0.00200000",
        "buyer": "0.00010000",
        "seller": "0.00020000",
    }
    assert found["discount"] == {
        "enabledForAccount": False,
        "enabledForSymbol": True,
        "discountAsset": "BNB",
        "discount": "0.25000000",
    }
    assert (account["makerCommission"], account["takerCommission"], account["commissionRates"]["maker"]) == (
        10,
        20,
        "0.00100000",
    )
