"""The price walk: the same for a seed whoever asks and whenever, bounded, exact, and different for another seed."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fake_bot.errors import BotRefused
from sim.fake_bot.prices import ANCHOR, ASSETS, DAILY_CLOSES, MAX_DAYS_FROM_ANCHOR, MAX_OFFSET_BPS, PriceWalk, reflect

TODAY = date(2026, 5, 12)
days = st.dates(ANCHOR - timedelta(days=2000), ANCHOR + timedelta(days=2000))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64), cycle=st.integers(1, 200), today=days)
def test_walk_taken_up_in_the_middle_goes_on_as_if_walked_from_the_start(seed: int, cycle: int, today: date) -> None:
    walked = PriceWalk(seed=seed)
    for earlier in range(1, cycle):
        walked.quotes(cycle=earlier, today=today)
    assert walked.quotes(cycle=cycle, today=today) == PriceWalk(seed=seed).quotes(cycle=cycle, today=today)
    assert walked.quotes(cycle=1, today=today) == PriceWalk(seed=seed).quotes(cycle=1, today=today)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64), cycle=st.integers(0, 200), today=days)
def test_last_price_is_a_positive_multiple_of_the_tick_near_yesterdays_close(
    seed: int, cycle: int, today: date
) -> None:
    for quote in PriceWalk(seed=seed).quotes(cycle=cycle, today=today).values():
        yesterday = quote.daily_closes[-1].close
        assert quote.last_price > 0
        assert quote.last_price % quote.asset.tick == 0
        assert abs(quote.last_price - yesterday) <= yesterday * MAX_OFFSET_BPS / 10_000 + quote.asset.tick


@pytest.mark.parametrize("today", [TODAY, ANCHOR, ANCHOR - timedelta(days=400)], ids=str)
def test_close_of_a_day_never_changes_as_days_pass(today: date) -> None:
    for first, second in zip(
        PriceWalk(seed=1).quotes(cycle=1, today=today).values(),
        PriceWalk(seed=1).quotes(cycle=9, today=today + timedelta(days=1)).values(),
        strict=True,
    ):
        assert first.daily_closes[1:] == second.daily_closes[:-1]


def test_walk_that_lives_through_midnight_moves_on_to_the_next_day() -> None:
    walk = PriceWalk(seed=1)
    walk.quotes(cycle=1, today=TODAY)
    tomorrow = TODAY + timedelta(days=1)
    assert walk.quotes(cycle=2, today=tomorrow) == PriceWalk(seed=1).quotes(cycle=2, today=tomorrow)


def test_closes_are_of_the_complete_days_before_today() -> None:
    for quote in PriceWalk(seed=1).quotes(cycle=1, today=TODAY).values():
        expected = [TODAY - timedelta(days=back) for back in range(DAILY_CLOSES, 0, -1)]
        assert [close.date for close in quote.daily_closes] == expected


def test_other_seed_gives_other_prices_for_every_asset() -> None:
    one, two = (PriceWalk(seed=seed).quotes(cycle=5, today=TODAY) for seed in (1, 2))
    assert all(one[asset.symbol].last_price != two[asset.symbol].last_price for asset in ASSETS)


def test_walk_of_seed_one_is_the_same_on_every_machine() -> None:
    found = PriceWalk(seed=1).quotes(cycle=5, today=TODAY)
    assert {symbol: str(quote.last_price) for symbol, quote in found.items()} == {
        "ADA": "0.8114",
        "BTC": "45876.07",
        "ETH": "3067.17",
        "SOL": "157.77",
    }


@pytest.mark.parametrize("days_off", [MAX_DAYS_FROM_ANCHOR + 1, -MAX_DAYS_FROM_ANCHOR])
def test_clock_a_century_off_is_refused(days_off: int) -> None:
    with pytest.raises(BotRefused) as refused:
        PriceWalk(seed=1).quotes(cycle=1, today=ANCHOR + timedelta(days=days_off))
    assert refused.value.code == "bot/clock_out_of_range"


def test_clock_half_a_century_off_is_accepted() -> None:
    assert PriceWalk(seed=1).quotes(cycle=1, today=ANCHOR + timedelta(days=MAX_DAYS_FROM_ANCHOR // 2))


@given(offset=st.integers(-30, 30))
def test_offset_is_reflected_into_its_bounds(offset: int) -> None:
    assert abs(reflect(offset, 15)) <= 15
    assert reflect(offset, 30) == offset
