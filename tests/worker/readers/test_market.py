"""The market snapshot: read with its exact values, or told what is wrong with it and where."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sim.fake_bot.market import market_document
from sim.fake_bot.prices import PriceWalk
from tests.worker.readers.test_schemas import REMOVED, edited
from worker.contracts.errors import Reason
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.market import MAX_CLOSES, DailyClose, Market, MarketAsset, decode_market, engine_market, read_market

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)
MARKET: dict[str, Any] = {
    "schema_version": 1,
    "generated_at": "2026-05-12T09:00:00.000001Z",
    "assets": {
        "ETH": {
            "last_price": "3000.120",
            "daily_closes": [{"date": "2026-05-10", "close": "2990"}, {"date": "2026-05-11", "close": "3010.5"}],
        },
        "NEW": {"last_price": "0.000000000000000001", "daily_closes": []},
    },
}


def put(home: Home, content: bytes) -> None:
    home.state.mkdir(parents=True)
    home.market_snapshot.write_bytes(content)


def test_market_is_read_with_its_exact_values(home: Home) -> None:
    put(home, json.dumps(MARKET).encode())

    assert read_market(home) == Market(
        generated_at=NINE + timedelta(microseconds=1),
        assets={
            "ETH": MarketAsset(
                last_price=Decimal("3000.12"),
                daily_closes=(
                    DailyClose(date=date(2026, 5, 10), close=Decimal(2990)),
                    DailyClose(date=date(2026, 5, 11), close=Decimal("3010.5")),
                ),
            ),
            "NEW": MarketAsset(last_price=Decimal("1e-18"), daily_closes=()),
        },
    )


def test_market_without_a_file_is_none(home: Home) -> None:
    assert read_market(home) is None


@given(seed=some.integers(0, 100), cycle=some.integers(1, 50), days=some.integers(-400, 400))
def test_market_as_the_bot_writes_it_is_read_exactly(seed: int, cycle: int, days: int) -> None:
    now = NINE + timedelta(days=days)
    quotes = PriceWalk(seed=seed).quotes(cycle=cycle, today=now.date())

    market = decode_market(market_document(quotes, at=now), path=Path("market_snapshot.json"))

    assert market.generated_at == now
    assert {asset: found.last_price for asset, found in market.assets.items()} == {
        asset: quote.last_price for asset, quote in quotes.items()
    }
    assert {asset: [(one.date, one.close) for one in found.daily_closes] for asset, found in market.assets.items()} == {
        asset: [(one.date, one.close) for one in quote.daily_closes] for asset, quote in quotes.items()
    }


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        ("schema_version", 2, "$.schema_version"),
        ("generated_at", REMOVED, "$"),
        ("more", 1, "$"),
        ("generated_at", "2026-05-12T09:00:00+00:00", "$.generated_at"),
        ("generated_at", "2026-05-32T09:00:00Z", "$.generated_at"),
        ("assets", [], "$.assets"),
        ("assets", {f"A{number}": {} for number in range(1001)}, "$.assets"),
        ("assets/eth", {}, "$.assets, key 'eth'"),
        ("assets/ETH", 7, "$.assets.ETH"),
        ("assets/ETH/more", 7, "$.assets.ETH"),
        ("assets/ETH/last_price", REMOVED, "$.assets.ETH"),
        ("assets/ETH/last_price", 3000, "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", None, "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", "-1", "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", "0", "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", "0.00", "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", "1" * 19, "$.assets.ETH.last_price"),
        ("assets/ETH/last_price", "0." + "1" * 19, "$.assets.ETH.last_price"),
        ("assets/ETH/daily_closes", REMOVED, "$.assets.ETH"),
        ("assets/ETH/daily_closes", {}, "$.assets.ETH.daily_closes"),
        ("assets/ETH/daily_closes", [1], "$.assets.ETH.daily_closes[0]"),
        ("assets/ETH/daily_closes", [{"date": "2026-05-10"}], "$.assets.ETH.daily_closes[0]"),
        ("assets/ETH/daily_closes", [{"date": "2026-02-30", "close": "1"}], "$.assets.ETH.daily_closes[0].date"),
        ("assets/ETH/daily_closes", [{"date": "10.5.2026", "close": "1"}], "$.assets.ETH.daily_closes[0].date"),
        ("assets/ETH/daily_closes", [{"date": "2026-05-10", "close": "0"}], "$.assets.ETH.daily_closes[0].close"),
        ("assets/ETH/daily_closes", [{"date": "2026-05-10", "close": 1}], "$.assets.ETH.daily_closes[0].close"),
        (
            "assets/ETH/daily_closes",
            [{"date": "2026-05-10", "close": "1"}] * 2,
            "$.assets.ETH.daily_closes[1].date",
        ),
        (
            "assets/ETH/daily_closes",
            [{"date": "2026-05-10", "close": "1"}, {"date": "2026-05-09", "close": "1"}],
            "$.assets.ETH.daily_closes[1].date",
        ),
        (
            "assets/ETH/daily_closes",
            [{"date": "2026-05-10", "close": "1"}] * (MAX_CLOSES + 1),
            "$.assets.ETH.daily_closes",
        ),
    ],
    ids=[str(number) for number in range(29)],
)
def test_market_that_does_not_fit_is_damage_with_path_and_place(
    home: Home, where: str, value: object, place: str
) -> None:
    put(home, edited(MARKET, where, value))

    with pytest.raises(DamagedFile) as caught:
        read_market(home)

    assert (caught.value.reason, caught.value.path, caught.value.place) == (
        Reason.DAMAGED_FILE,
        home.market_snapshot,
        place,
    )


@pytest.mark.parametrize("length", [0, 1, 100])
def test_truncated_market_is_damage(home: Home, length: int) -> None:
    put(home, json.dumps(MARKET).encode()[:length])

    with pytest.raises(DamagedFile) as caught:
        read_market(home)

    assert caught.value.place.startswith("line 1 column ")


def test_pipe_in_the_place_of_the_market_is_damage_and_does_not_hang(home: Home) -> None:
    home.state.mkdir()
    os.mkfifo(home.market_snapshot)

    with pytest.raises(DamagedFile):
        read_market(home)


def market_with_closes_on(*days: int) -> Market:
    closes = tuple(DailyClose(date=date(2026, 5, day), close=Decimal(day)) for day in days)
    return Market(generated_at=NINE, assets={"ETH": MarketAsset(last_price=Decimal(7), daily_closes=closes)})


@pytest.mark.parametrize(
    ("days", "taken"),
    [
        ([], []),
        ([11], [11]),
        ([9, 10, 11], [9, 10, 11]),
        ([8, 10, 11], [10, 11]),
        ([8, 9, 11], [11]),
        ([4, 6, 7, 9, 10, 11], [9, 10, 11]),
        ([9, 10], []),
        ([8, 10], []),
        ([10, 11, 12], [10, 11]),
        ([10, 11, 12, 13], [10, 11]),
        ([12, 13], []),
    ],
    ids=str,
)
def test_engine_gets_the_closes_of_complete_days_after_the_last_missing_one(days: list[int], taken: list[int]) -> None:
    market = engine_market(market_with_closes_on(*days))["ETH"]

    assert (market.last_price, market.daily_closes) == (Decimal(7), tuple(map(Decimal, taken)))
