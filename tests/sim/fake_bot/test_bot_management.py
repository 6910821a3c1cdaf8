"""What the bot makes of managed holdings: what it adopts, expects, drops, accepts, and which assets it may trade."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from sim.fake_bot.managed_files import Entry, ManagedPair
from sim.fake_bot.management import Disagreement, accepted, is_tradable, take_stock
from sim.fake_bot.portfolio import Basis, Portfolio, Position, parse_portfolio, portfolio_document
from sim.fake_bot.prices import PriceWalk
from tests.sim.fake_bot.managed_home import MANAGED
from tests.sim.fake_bot.test_bot_portfolio import AT
from worker.contracts.states import ManagedState

QUOTES = PriceWalk(seed=1).quotes(cycle=5, today=AT.date())
ACTIVE, PAUSED, FLAGGED = MANAGED
NOT_MANAGED = sorted(set(ManagedState) - set(MANAGED))
CYCLE = 5


def pair(state: ManagedState, *, quantity: str = "0.5", by: int = 1, name: str = "ETH") -> ManagedPair:
    entry = Entry(state=state, command_id=UUID(int=by), baseline=Decimal(quantity))
    return ManagedPair(generation=3, assets={name: entry})


def portfolio(*, by: int = 1, held: str = "", expected: str = "", since: int | None = 2) -> Portfolio:
    """Cash, and perhaps a position and an expectation of ETH, from generation `since` on."""
    positions, managed = ({name: text for name, text in [("ETH", told)] if text} for told in (held, expected))
    return Portfolio(
        cycle=4,
        cash_usdt=Decimal(1000),
        positions={
            name: Position(quantity=Decimal(text), average_price=Decimal(2000)) for name, text in positions.items()
        },
        managed={
            name: Basis(command_id=UUID(int=by), expected=Decimal(text), generation=since)
            for name, text in managed.items()
        },
    )


@pytest.mark.parametrize("state", MANAGED)
def test_managed_asset_that_is_not_held_is_taken_up_in_the_baseline_quantity(state: ManagedState) -> None:
    stock = take_stock(portfolio(), pair(state), QUOTES, cycle=CYCLE)
    assert stock.portfolio == Portfolio(
        cycle=CYCLE,
        cash_usdt=Decimal(1000),
        positions={"ETH": Position(quantity=Decimal("0.5"), average_price=QUOTES["ETH"].last_price)},
        managed={"ETH": Basis(command_id=UUID(int=1), expected=Decimal("0.5"), generation=3)},
    )
    assert stock.disagreements == ()
    assert len(stock.told) == 1


@pytest.mark.parametrize("state", MANAGED)
def test_managed_asset_that_is_held_in_the_baseline_quantity_keeps_its_position(state: ManagedState) -> None:
    before = portfolio(held="0.5")
    stock = take_stock(before, pair(state), QUOTES, cycle=CYCLE)
    assert stock.portfolio.positions == before.positions
    assert stock.portfolio.managed == {"ETH": Basis(command_id=UUID(int=1), expected=Decimal("0.5"), generation=3)}
    assert stock.disagreements == ()


@pytest.mark.parametrize("state", MANAGED)
def test_managed_asset_that_is_held_in_another_quantity_is_a_disagreement(state: ManagedState) -> None:
    before = portfolio(held="0.3")
    stock = take_stock(before, pair(state), QUOTES, cycle=CYCLE)
    assert stock.portfolio.positions == before.positions
    assert stock.portfolio.managed == {"ETH": Basis(command_id=UUID(int=1), expected=Decimal("0.5"), generation=3)}
    assert stock.disagreements == (
        Disagreement(
            asset="ETH",
            state=state,
            changed_by=UUID(int=1),
            agreed_under=UUID(int=1),
            expected=Decimal("0.5"),
            found=Decimal("0.3"),
            since=3,
            generation=3,
        ),
    )


def test_position_that_has_gone_is_a_disagreement_and_is_not_taken_up_again() -> None:
    stock = take_stock(portfolio(expected="0.5"), pair(ACTIVE), QUOTES, cycle=CYCLE)
    assert [(found.expected, found.found) for found in stock.disagreements] == [(Decimal("0.5"), Decimal(0))]
    assert stock.portfolio.positions == {}


def test_baseline_of_nothing_is_managed_without_a_position() -> None:
    stock = take_stock(portfolio(), pair(ACTIVE, quantity="0"), QUOTES, cycle=CYCLE)
    assert stock.portfolio.positions == {}
    assert stock.disagreements == ()
    assert is_tradable("ETH", stock.portfolio, pair(ACTIVE, quantity="0"))


@pytest.mark.parametrize("state", NOT_MANAGED)
def test_asset_that_is_managed_no_more_loses_its_expectation_and_keeps_its_position(state: ManagedState) -> None:
    before = portfolio(held="0.3", expected="0.3")
    stock = take_stock(before, pair(state, by=2), QUOTES, cycle=CYCLE)
    assert stock.portfolio == replace(before, cycle=CYCLE, managed={})
    assert stock.disagreements == ()


@pytest.mark.parametrize("state", NOT_MANAGED)
def test_asset_that_is_not_managed_is_not_taken_up(state: ManagedState) -> None:
    before = portfolio(held="0.3")
    assert take_stock(before, pair(state), QUOTES, cycle=CYCLE).portfolio is before


def test_nothing_new_leaves_the_very_same_portfolio() -> None:
    before = portfolio(held="0.7", expected="0.7")
    assert take_stock(before, pair(ACTIVE), QUOTES, cycle=CYCLE).portfolio is before


def test_expectation_follows_the_commands_it_agrees_under() -> None:
    stock = take_stock(portfolio(held="0.7", expected="0.7"), pair(PAUSED, by=2), QUOTES, cycle=CYCLE)
    assert stock.portfolio.managed == {"ETH": Basis(command_id=UUID(int=2), expected=Decimal("0.7"), generation=3)}
    assert stock.disagreements == ()


def test_disagreement_remembers_the_command_it_last_agreed_under_until_it_is_accepted() -> None:
    before = portfolio(held="0.3", expected="0.5", by=1)
    stock = take_stock(before, pair(ACTIVE, by=3), QUOTES, cycle=CYCLE)
    found = stock.disagreements[0]
    assert stock.portfolio is before
    assert (found.agreed_under, found.changed_by, found.is_resumed) == (UUID(int=1), UUID(int=3), True)
    after = accepted(before, found, cycle=CYCLE)
    assert after == replace(
        before, cycle=CYCLE, managed={"ETH": Basis(command_id=UUID(int=3), expected=Decimal("0.3"), generation=3)}
    )
    assert take_stock(after, pair(ACTIVE, by=3), QUOTES, cycle=CYCLE).disagreements == ()


@pytest.mark.parametrize(("kept", "since"), [(2, 2), (3, 3), (4, 3), (None, 3)])
def test_disagreement_is_since_the_generation_that_the_portfolio_kept_if_the_files_have_reached_it(
    kept: int | None, since: int
) -> None:
    # The files are of generation 3; they may have come back from a backup, and the portfolio from an older bot.
    stock = take_stock(portfolio(held="0.3", expected="0.5", since=kept), pair(ACTIVE), QUOTES, cycle=CYCLE)
    assert [(found.since, found.generation) for found in stock.disagreements] == [(since, 3)]
    assert stock.portfolio.managed["ETH"].generation == since


@pytest.mark.parametrize(
    ("state", "by", "is_resumed"),
    [(ACTIVE, 1, False), (ACTIVE, 2, True), (PAUSED, 2, False), (FLAGGED, 2, False)],
)
def test_only_an_asset_made_active_since_counts_as_resumed(state: ManagedState, by: int, is_resumed: bool) -> None:
    before = portfolio(held="0.3", expected="0.5", by=1)
    found = take_stock(before, pair(state, by=by), QUOTES, cycle=CYCLE).disagreements[0]
    assert found.is_resumed is is_resumed


@pytest.mark.parametrize(
    "strange",
    [pair(ACTIVE, name="DOGE"), pair(ACTIVE, quantity="1" * 19), pair(ACTIVE, quantity="0." + "1" * 19)],
    ids=["no price", "too large", "too fine"],
)
def test_asset_that_the_bot_cannot_hold_is_neither_taken_up_nor_traded(strange: ManagedPair) -> None:
    before = portfolio()
    stock = take_stock(before, strange, QUOTES, cycle=CYCLE)
    assert stock.portfolio is before
    assert not [name for name in strange.assets if is_tradable(name, stock.portfolio, strange)]


@pytest.mark.parametrize("state", ManagedState)
def test_only_an_active_asset_may_be_traded(state: ManagedState) -> None:
    before = portfolio(held="0.5", expected="0.5")
    assert is_tradable("ETH", before, pair(state)) is (state is ACTIVE)


@pytest.mark.parametrize(
    "before",
    [portfolio(held="0.3", expected="0.5"), portfolio(expected="0.5"), portfolio(held="0.5")],
    ids=["other quantity", "nothing held", "no expectation"],
)
def test_active_asset_on_which_the_bot_does_not_agree_may_not_be_traded(before: Portfolio) -> None:
    assert not is_tradable("ETH", before, pair(ACTIVE))


def test_asset_that_is_in_no_file_may_not_be_traded() -> None:
    assert not is_tradable("BTC", portfolio(held="0.5", expected="0.5"), pair(ACTIVE))


def test_portfolio_after_every_change_is_read_as_it_was_written() -> None:
    taken_up = take_stock(portfolio(), pair(ACTIVE), QUOTES, cycle=CYCLE).portfolio
    dropped = take_stock(taken_up, pair(ManagedState.FROZEN), QUOTES, cycle=CYCLE).portfolio
    for found in (taken_up, dropped):
        assert parse_portfolio(portfolio_document(found, at=AT), name="portfolio") == found
