"""Money in the paper portfolio: conserved by every trade, spelled one way, read strictly."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fake_bot.errors import BotRefused
from sim.fake_bot.orders import Side
from sim.fake_bot.portfolio import (
    EXACT,
    STARTING_CASH_USDT,
    Basis,
    Portfolio,
    Position,
    Trade,
    after_trade,
    parse_portfolio,
    portfolio_document,
    starting_portfolio,
)
from sim.fake_bot.prices import ASSETS, PriceWalk
from sim.fake_bot.strategy import decide

AT = datetime(2026, 5, 12, 9, tzinfo=UTC)
SYMBOLS = tuple(asset.symbol for asset in ASSETS)


def amounts(*, least: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(min_value=Decimal(least), max_value=Decimal(10) ** 12, places=9, allow_nan=False)


positions = st.dictionaries(
    st.sampled_from(SYMBOLS),
    st.builds(Position, quantity=amounts(least="0.000000001"), average_price=amounts(least="0")),
).map(lambda found: MappingProxyType(dict(sorted(found.items()))))
managed = st.dictionaries(
    st.sampled_from(SYMBOLS), st.builds(Basis, command_id=st.uuids(), expected=amounts(least="0"))
).map(lambda found: MappingProxyType(dict(sorted(found.items()))))
portfolios = st.builds(
    Portfolio, cycle=st.integers(1, 10**9), cash_usdt=amounts(least="0"), positions=positions, managed=managed
)
trades = st.builds(
    Trade,
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    quantity=amounts(least="0.000000001"),
    price=amounts(least="0.000000001"),
)


def covering(portfolio: Portfolio, trade: Trade) -> Portfolio:
    """`portfolio` with as much more cash and position as `trade` takes, so that it is covered."""
    held = Position(quantity=EXACT.add(portfolio.quantity(trade.symbol), trade.quantity), average_price=Decimal(1))
    cash = EXACT.add(portfolio.cash_usdt, EXACT.multiply(trade.quantity, trade.price))
    return replace(portfolio, cash_usdt=cash, positions={**portfolio.positions, trade.symbol: held})


def value_at(portfolio: Portfolio, symbol: str, price: Decimal) -> Fraction:
    """Cash and one position, in an arithmetic that has no digits to lose."""
    return Fraction(portfolio.cash_usdt) + Fraction(portfolio.quantity(symbol)) * Fraction(price)


@settings(max_examples=60, deadline=None)
@given(portfolio=portfolios, trade=trades)
def test_covered_trade_conserves_cash_and_positions_to_the_last_digit(portfolio: Portfolio, trade: Trade) -> None:
    before = covering(portfolio, trade)
    after = after_trade(before, trade, cycle=7)
    assert after.cycle == 7
    assert value_at(after, trade.symbol, trade.price) == value_at(before, trade.symbol, trade.price)
    moved = Fraction(after.quantity(trade.symbol)) - Fraction(before.quantity(trade.symbol))
    assert abs(moved) == Fraction(trade.quantity)
    others = [other for other in SYMBOLS if other != trade.symbol]
    assert [after.positions.get(other) for other in others] == [before.positions.get(other) for other in others]
    assert [after.managed.get(other) for other in others] == [before.managed.get(other) for other in others]


@settings(max_examples=60, deadline=None)
@given(portfolio=portfolios, trade=trades, expected=amounts(least="0"))
def test_what_is_expected_of_a_managed_asset_moves_with_the_bots_own_trades(
    portfolio: Portfolio, trade: Trade, expected: Decimal
) -> None:
    basis = Basis(command_id=UUID(int=7), expected=expected)
    before = replace(covering(portfolio, trade), managed={trade.symbol: basis})
    after = after_trade(before, trade, cycle=7).managed[trade.symbol]
    assert after.command_id == basis.command_id
    moved = Fraction(after.expected) - Fraction(expected)
    assert abs(moved) == Fraction(trade.quantity)
    assert (moved > 0) is (trade.side is Side.BUY)


@settings(max_examples=60, deadline=None)
@given(trade=trades, part=st.decimals(Decimal(0), Decimal("0.999999"), places=6))
def test_trade_that_cash_or_position_does_not_cover_is_refused(trade: Trade, part: Decimal) -> None:
    nothing = replace(starting_portfolio(cycle=1), cash_usdt=Decimal(0))
    full = covering(nothing, trade)
    held = Position(quantity=EXACT.multiply(trade.quantity, part), average_price=Decimal(1))
    short = replace(full, cash_usdt=EXACT.multiply(full.cash_usdt, part), positions={trade.symbol: held})
    with pytest.raises(ValueError):
        after_trade(short, trade, cycle=7)


@pytest.mark.parametrize(("quantity", "price"), [("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-1")])
def test_trade_of_nothing_or_less_is_refused(quantity: str, price: str) -> None:
    trade = Trade(symbol="BTC", side=Side.SELL, quantity=Decimal(quantity), price=Decimal(price))
    with pytest.raises(ValueError):
        after_trade(covering(starting_portfolio(cycle=1), replace(trade, quantity=Decimal(5))), trade, cycle=2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**64), cycles=st.integers(1, 60))
def test_run_of_any_seed_conserves_what_it_started_with(seed: int, cycles: int) -> None:
    prices = PriceWalk(seed=seed)
    portfolio = starting_portfolio(cycle=1)
    spent = {symbol: Decimal(0) for symbol in SYMBOLS}
    for cycle in range(2, cycles + 2):
        quotes = prices.quotes(cycle=cycle, today=AT.date())
        trade = decide(portfolio, quotes, tradable=SYMBOLS, cycle=cycle, trade_every=1)
        assert trade is not None
        signed = trade.quantity if trade.side is Side.BUY else -trade.quantity
        spent[trade.symbol] += signed * trade.price
        portfolio = after_trade(portfolio, trade, cycle=cycle)
    assert portfolio.cash_usdt + sum(spent.values()) == STARTING_CASH_USDT
    assert parse_portfolio(portfolio_document(portfolio, at=AT), name="portfolio") == portfolio


@settings(max_examples=50, deadline=None)
@given(portfolio=portfolios)
def test_portfolio_is_read_as_it_was_written(portfolio: Portfolio) -> None:
    content = portfolio_document(portfolio, at=AT)
    assert parse_portfolio(content, name="portfolio") == portfolio
    assert portfolio_document(parse_portfolio(content, name="portfolio"), at=AT) == content


def test_position_sold_out_is_left_out() -> None:
    bought = after_trade(
        starting_portfolio(cycle=1),
        Trade(symbol="BTC", side=Side.BUY, quantity=Decimal("0.001"), price=Decimal(60_000)),
        cycle=2,
    )
    sold = after_trade(
        bought, Trade(symbol="BTC", side=Side.SELL, quantity=Decimal("0.001"), price=Decimal(61_000)), cycle=3
    )
    assert sold.positions == {}
    assert sold.cash_usdt == STARTING_CASH_USDT + 1


def test_document_spells_money_plainly_and_times_in_utc() -> None:
    portfolio = Portfolio(
        cycle=4,
        cash_usdt=Decimal("1E+3"),
        positions=MappingProxyType({"BTC": Position(quantity=Decimal("0.500"), average_price=Decimal("60000.00"))}),
    )
    assert portfolio_document(portfolio, at=AT).decode().splitlines(keepends=True) == [
        "{\n",
        '  "cash_usdt": "1000",\n',
        '  "cycle": 4,\n',
        '  "positions": {\n',
        '    "BTC": {\n',
        '      "average_price": "60000",\n',
        '      "quantity": "0.5"\n',
        "    }\n",
        "  },\n",
        '  "schema_version": 1,\n',
        '  "updated_at": "2026-05-12T09:00:00Z"\n',
        "}\n",
    ]


def test_document_says_what_is_managed_and_leaves_the_key_out_when_nothing_is() -> None:
    nothing = starting_portfolio(cycle=1)
    basis = Basis(command_id=UUID(int=7), expected=Decimal("0.50"), generation=3)
    managed = json.loads(portfolio_document(replace(nothing, managed={"ETH": basis}), at=AT))
    assert managed == {
        **json.loads(portfolio_document(nothing, at=AT)),
        "managed": {"ETH": {"command_id": "00000000-0000-0000-0000-000000000007", "expected": "0.5", "generation": 3}},
    }
    assert "managed" not in json.loads(portfolio_document(nothing, at=AT))


def whole(**changed: Any) -> dict[str, Any]:
    position = {"quantity": "0.5", "average_price": "60000"}
    return {
        "schema_version": 1,
        "cycle": 4,
        "updated_at": "2026-05-12T09:00:00Z",
        "cash_usdt": "1000",
        "positions": {"BTC": position},
    } | changed


def test_whole_portfolio_is_accepted() -> None:
    found = parse_portfolio(json.dumps(whole()).encode(), name="portfolio")
    assert found.quantity("BTC") == Decimal("0.5")
    assert found.managed == {}


BASIS = {"command_id": "00000000-0000-0000-0000-000000000007", "expected": "0.5"}


@pytest.mark.parametrize("generation", [None, 1, 3])
def test_portfolio_with_managed_assets_is_accepted(generation: int | None) -> None:
    kept = {name: value for name, value in [("generation", generation)] if value is not None}
    found = parse_portfolio(json.dumps(whole(managed={"BTC": {**BASIS, **kept}})).encode(), name="portfolio")
    assert found.managed == {"BTC": Basis(command_id=UUID(int=7), expected=Decimal("0.5"), generation=generation)}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "truncated"),
        (json.dumps(whole()).encode()[:-9], "truncated"),
        (b"\xff\xfe", "byte 0"),
        (b"[]", "array"),
        (json.dumps(whole(schema_version=2)).encode(), "schema_version"),
        (json.dumps(whole(cycle="4")).encode(), "$.cycle"),
        (json.dumps(whole(cycle=0)).encode(), "cycle"),
        (json.dumps(whole(cash_usdt=1000.5)).encode(), "$.cash_usdt"),
        (json.dumps(whole(cash_usdt="-1")).encode(), "cash_usdt"),
        (json.dumps(whole(cash_usdt="1e3")).encode(), "cash_usdt"),
        (json.dumps(whole(cash_usdt="NaN")).encode(), "cash_usdt"),
        (json.dumps(whole(cash_usdt="01")).encode(), "cash_usdt"),
        (json.dumps(whole(cash_usdt="١")).encode(), "cash_usdt"),
        (json.dumps(whole(extra=1)).encode(), "extra"),
        (json.dumps(whole(positions={"BTC": {"quantity": "0", "average_price": "1"}})).encode(), "positions.BTC"),
        (json.dumps(whole(positions={"BTC": {"quantity": "x", "average_price": "1"}})).encode(), "positions.BTC"),
        (json.dumps(whole(positions={"BTC": {"quantity": "1"}})).encode(), "positions.BTC"),
        (json.dumps(whole(positions={"BTC": 1})).encode(), "positions.BTC"),
        (json.dumps(whole(managed={})).encode(), "$.managed"),
        (json.dumps(whole(managed=None)).encode(), "$.managed"),
        (json.dumps(whole(managed={"BTC": {**BASIS, "command_id": "7"}})).encode(), "managed.BTC"),
        (json.dumps(whole(managed={"BTC": {**BASIS, "expected": "-1"}})).encode(), "managed.BTC.expected"),
        (json.dumps(whole(managed={"BTC": {**BASIS, "extra": 1}})).encode(), "managed.BTC"),
        (json.dumps(whole(managed={"BTC": {"expected": "1"}})).encode(), "managed.BTC"),
    ],
)
def test_damaged_portfolio_is_refused_with_its_name_and_place(content: bytes, place: str) -> None:
    with pytest.raises(BotRefused) as refused:
        parse_portfolio(content, name="some/live_portfolio.json")
    assert refused.value.code == "bot/portfolio_damaged"
    assert "some/live_portfolio.json" in refused.value.message
    assert place in refused.value.message
