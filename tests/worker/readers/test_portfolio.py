"""The bot's portfolio: read with its exact values, or told what is wrong with it and where."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sim.fake_bot import portfolio as bot
from tests.worker.readers.test_schemas import REMOVED, edited
from worker.contracts.errors import Reason
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.portfolio import Portfolio, decode_portfolio, read_portfolio

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)
PORTFOLIO: dict[str, Any] = {
    "schema_version": 1,
    "cycle": 12,
    "updated_at": "2026-05-12T09:00:00Z",
    "cash_usdt": "9250.50",
    "positions": {
        "ETH": {"quantity": "0.250", "average_price": "2998"},
        "BTC": {"quantity": "0", "average_price": "60000"},
    },
}
AS_READ = Portfolio(
    cycle=12,
    updated_at=NINE,
    cash_usdt=Decimal("9250.5"),
    positions={"ETH": Decimal("0.25"), "BTC": Decimal(0)},
)


def test_portfolio_is_read_with_its_exact_values(home: Home) -> None:
    home.live_portfolio.write_text(json.dumps(PORTFOLIO))

    assert read_portfolio(home) == AS_READ


def test_portfolio_without_a_file_is_none(home: Home) -> None:
    assert read_portfolio(home) is None


@pytest.mark.parametrize("managed", [{}, {"ETH": {"command_id": "0c1f", "expected": "0.25"}}, {"x": 1}], ids=str)
def test_what_the_bot_notes_of_managed_assets_is_not_looked_at(home: Home, managed: object) -> None:
    home.live_portfolio.write_text(json.dumps(PORTFOLIO | {"managed": managed}))

    assert read_portfolio(home) == AS_READ


amounts = some.integers(1, 10**18 - 1).map(lambda digits: Decimal(digits).scaleb(-9))


@given(
    cash=amounts,
    positions=some.dictionaries(
        some.text("ABCXYZ0189", min_size=2, max_size=32),
        some.builds(bot.Position, quantity=amounts, average_price=amounts),
        max_size=5,
    ),
)
def test_portfolio_as_the_bot_writes_it_is_read_exactly(cash: Decimal, positions: dict[str, bot.Position]) -> None:
    written = bot.Portfolio(cycle=1, cash_usdt=cash, positions=positions)

    read = decode_portfolio(bot.portfolio_document(written, at=NINE), path=Path("live_portfolio.json"))

    assert (read.cash_usdt, read.positions) == (cash, {asset: held.quantity for asset, held in positions.items()})


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        ("schema_version", 2, "$.schema_version"),
        ("schema_version", REMOVED, "$.schema_version"),
        ("cycle", REMOVED, "$"),
        ("more", 1, "$"),
        ("cycle", 0, "$.cycle"),
        ("cycle", "12", "$.cycle"),
        ("updated_at", "2026-05-12", "$.updated_at"),
        ("updated_at", "2026-05-12T29:00:00Z", "$.updated_at"),
        ("cash_usdt", 9250, "$.cash_usdt"),
        ("cash_usdt", "-1", "$.cash_usdt"),
        ("positions", None, "$.positions"),
        ("positions/eth", {}, "$.positions, key 'eth'"),
        ("positions/ETH", "0.25", "$.positions.ETH"),
        ("positions/ETH/quantity", REMOVED, "$.positions.ETH"),
        ("positions/ETH/average_price", REMOVED, "$.positions.ETH"),
        ("positions/ETH/more", 1, "$.positions.ETH"),
        ("positions/ETH/quantity", "-0.25", "$.positions.ETH.quantity"),
        ("positions/ETH/quantity", 0.25, "$.positions.ETH.quantity"),
        ("positions/ETH/average_price", "1e3", "$.positions.ETH.average_price"),
        ("managed", None, "$.managed"),
        ("managed", [], "$.managed"),
    ],
    ids=repr,
)
def test_portfolio_that_does_not_fit_is_damage_with_path_and_place(
    home: Home, where: str, value: object, place: str
) -> None:
    home.live_portfolio.write_bytes(edited(PORTFOLIO, where, value))

    with pytest.raises(DamagedFile) as caught:
        read_portfolio(home)

    assert (caught.value.reason, caught.value.path, caught.value.place) == (
        Reason.DAMAGED_FILE,
        home.live_portfolio,
        place,
    )


@pytest.mark.parametrize("length", [0, 1, 100])
def test_truncated_portfolio_is_damage(home: Home, length: int) -> None:
    home.live_portfolio.write_bytes(json.dumps(PORTFOLIO).encode()[:length])

    with pytest.raises(DamagedFile) as caught:
        read_portfolio(home)

    assert caught.value.place.startswith("line 1 column ")


def test_pipe_in_the_place_of_the_portfolio_is_damage_and_does_not_hang(home: Home) -> None:
    os.mkfifo(home.live_portfolio)

    with pytest.raises(DamagedFile):
        read_portfolio(home)
