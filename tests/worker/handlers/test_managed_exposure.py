"""How much of equity may come under management: proposals are sized one by one, and approved one after another."""

from decimal import Decimal
from uuid import UUID

import pytest

from tests.worker.managed_worlds import World


@pytest.fixture
def two_open(world: World) -> dict[str, UUID]:
    """Two open proposals, each of which takes all but a hundredth of the exposure that the profile allows."""
    for key, value in {"tier_high_allocation_pct": "0.19", "max_risk_per_trade_pct": "0.02"}.items():
        world.rows("UPDATE risk_settings SET value = %s WHERE key = %s", Decimal(value), key)
    return {asset: world.proposed(asset) for asset in ("ETH", "SOL")}


def test_second_of_two_proposals_made_at_once_is_refused_where_both_are_too_much(
    world: World, two_open: dict[str, UUID]
) -> None:
    first = world.approve(two_open["ETH"], "aggressive")
    second = world.approve(two_open["SOL"], "aggressive", asset="SOL")
    world.run()

    assert world.command(first) == ("succeeded", None)
    assert world.command(second) == ("failed", "state/exposure_exceeded")
    assert (world.state("ETH"), world.state("SOL")) == ("managed_active", "risk_proposed")
    assert world.disagreements() == []


@pytest.mark.parametrize(
    ("allocation", "ended"),
    [("0.01", ("succeeded", None)), ("0.010001", ("failed", "state/exposure_exceeded"))],
)
def test_second_may_take_exactly_what_the_first_left(
    world: World, two_open: dict[str, UUID], allocation: str, ended: tuple[str, str | None]
) -> None:
    world.approve(two_open["ETH"], "aggressive")
    overrides = {"allocation_pct": Decimal(allocation)}
    second = world.approve(two_open["SOL"], "aggressive", asset="SOL", overrides=overrides)
    world.run()

    assert world.command(second) == ended


def test_exposure_is_judged_by_the_limit_of_now(world: World, two_open: dict[str, UUID]) -> None:
    world.approve(two_open["ETH"], "aggressive")
    world.run()
    world.rows("UPDATE risk_settings SET value = '0.5' WHERE key = 'max_total_exposure_pct'")
    second = world.approve(two_open["SOL"], "aggressive", asset="SOL")
    world.run()

    assert world.command(second) == ("succeeded", None)
    assert world.state("SOL") == "managed_active"
