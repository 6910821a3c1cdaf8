"""Drift flagged through the real service: once per evidence, not while a flag waits, and never the end of the bot."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from sim.fake_bot.database import Database
from sim.fake_bot.drift import MAX_REST_CYCLES, DriftFlags
from sim.fake_bot.errors import BotBroken, BotRefused
from sim.fake_bot.management import Disagreement
from sim.fake_bot.settings import read_settings
from sim.postgres.leases import Lease
from tests.sim.fake_bot.managed_home import active, end_flags, flagged, flags, frozen, paused, tell_services
from worker.contracts.states import ManagedState

FOUND = Disagreement(
    asset="ETH",
    state=ManagedState.MANAGED_ACTIVE,
    changed_by=UUID(int=1),
    agreed_under=UUID(int=1),
    expected=Decimal("0.5"),
    found=Decimal("0.3"),
    since=3,
    generation=3,
)
FLAGGED = replace(FOUND, state=ManagedState.DRIFT_FLAGGED, changed_by=UUID(int=2), generation=4)
RESUMED = replace(FOUND, changed_by=UUID(int=3), generation=5)
FLAG = ("ETH", "0.5", "0.3", 3, None)


@pytest.fixture
def drift_flags(environment: dict[str, str], database: Lease) -> DriftFlags:
    """What a bot that has just started knows: nothing. The services know ETH as active."""
    tell_services(database, ETH=active())
    return flags_of_a_new_process(environment)


def flags_of_a_new_process(environment: dict[str, str]) -> DriftFlags:
    return DriftFlags(Database(read_settings(environment).database))


def told_by(drift_flags: DriftFlags, found: Disagreement, *, cycle: int = 1) -> tuple[bool, list[str]]:
    told: list[str] = []
    return drift_flags.is_accepted(found, cycle=cycle, tell=told.append), told


def test_new_evidence_is_flagged_without_a_user_and_told(drift_flags: DriftFlags, database: Lease) -> None:
    is_accepted, told = told_by(drift_flags, FOUND)
    assert not is_accepted
    assert flags(database) == [FLAG]
    assert len(told) == 1
    assert "ETH" in told[0]


def test_same_evidence_does_not_even_reach_the_service_again(drift_flags: DriftFlags, database: Lease) -> None:
    told_by(drift_flags, FOUND)
    # A service that was called now would make the row anew.
    database.connection.execute("DELETE FROM commands")
    assert told_by(drift_flags, FOUND, cycle=2) == (False, [])
    assert flags(database) == []


def test_same_evidence_after_a_restart_is_the_same_command(
    drift_flags: DriftFlags, environment: dict[str, str], database: Lease
) -> None:
    told_by(drift_flags, FOUND)
    # Another asset has moved the files on meanwhile.
    for found in (FOUND, replace(FOUND, generation=4)):
        assert told_by(flags_of_a_new_process(environment), found) == (False, [])
    assert flags(database) == [FLAG]


def test_another_quantity_is_new_evidence(drift_flags: DriftFlags, database: Lease) -> None:
    told_by(drift_flags, FOUND)
    told_by(drift_flags, replace(FOUND, found=Decimal("0.2")))
    assert flags(database) == [FLAG, ("ETH", "0.5", "0.2", 3, None)]


def test_drift_of_two_assets_is_flagged_twice(drift_flags: DriftFlags, database: Lease) -> None:
    tell_services(database, BTC=active())
    told_by(drift_flags, FOUND)
    told_by(drift_flags, replace(FOUND, asset="BTC"))
    assert flags(database) == [FLAG, ("BTC", *FLAG[1:])]


def test_change_of_another_asset_is_no_new_evidence_while_the_flag_waits(
    drift_flags: DriftFlags, database: Lease
) -> None:
    told_by(drift_flags, FOUND)
    assert told_by(drift_flags, replace(FOUND, generation=4), cycle=2) == (False, [])
    assert flags(database) == [FLAG]


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
def test_flag_that_came_to_nothing_is_raised_anew_once_the_files_have_changed(
    drift_flags: DriftFlags, database: Lease, status: str
) -> None:
    told_by(drift_flags, FOUND)
    end_flags(database, status)
    told_by(drift_flags, FOUND, cycle=2)
    assert flags(database) == [FLAG]
    for cycle in (3, 4):
        told_by(drift_flags, replace(FOUND, generation=4), cycle=cycle)
    assert flags(database) == [FLAG, ("ETH", "0.5", "0.3", 4, None)]


@pytest.mark.parametrize("saw_it_flagged", [True, False], ids=["seen", "missed between two cycles"])
def test_resume_of_a_flagged_asset_accepts_what_is_held(
    drift_flags: DriftFlags, database: Lease, saw_it_flagged: bool
) -> None:
    told_by(drift_flags, FOUND)
    end_flags(database, "succeeded")
    seen = [FLAGGED] * saw_it_flagged
    assert [told_by(drift_flags, found)[0] for found in [*seen, RESUMED]] == [*[False] * saw_it_flagged, True]
    assert flags(database) == [FLAG]


def test_resume_that_a_restarted_bot_finds_is_taken_at_its_word(
    drift_flags: DriftFlags, environment: dict[str, str], database: Lease
) -> None:
    told_by(drift_flags, FOUND)
    assert told_by(flags_of_a_new_process(environment), RESUMED)[0]


def test_resume_that_only_ended_a_pause_accepts_nothing_while_the_flag_waits(
    drift_flags: DriftFlags, database: Lease
) -> None:
    tell_services(database, ETH=paused())
    seen_paused = replace(FOUND, state=ManagedState.PAUSED)
    told_by(drift_flags, seen_paused)
    tell_services(database, ETH=active())
    assert told_by(drift_flags, RESUMED, cycle=2) == (False, [])
    end_flags(database, "succeeded")
    resumed_again = replace(RESUMED, changed_by=UUID(int=5), generation=7)
    assert told_by(drift_flags, resumed_again, cycle=3)[0]
    assert flags(database) == [FLAG]


def test_asset_that_somebody_else_flagged_is_not_flagged_again(drift_flags: DriftFlags, database: Lease) -> None:
    tell_services(database, ETH=flagged())
    assert told_by(drift_flags, FLAGGED) == (False, [])
    assert flags(database) == []
    assert told_by(drift_flags, RESUMED)[0]


def test_asset_managed_anew_is_flagged_anew(drift_flags: DriftFlags, database: Lease) -> None:
    told_by(drift_flags, FOUND)
    end_flags(database, "succeeded")
    told_by(drift_flags, FLAGGED)
    # Released and approved again since: the same two quantities, and a flag of long ago says nothing about them.
    anew = replace(FOUND, changed_by=UUID(int=9), agreed_under=UUID(int=9), since=9, generation=9)
    told_by(drift_flags, anew)
    assert flags(database) == [FLAG, ("ETH", "0.5", "0.3", 9, None)]


def test_refused_flag_is_told_and_tried_again_less_and_less_often(drift_flags: DriftFlags, database: Lease) -> None:
    # The service reads the history, which the worker writes after the files.
    tell_services(database, ETH=frozen())
    refused = [cycle for cycle in range(1, 200) if told_by(drift_flags, FOUND, cycle=cycle)[1]]
    assert refused == [1, 2, 4, 8, 16, 32, 64, 128, 192]
    assert refused[-1] - refused[-2] == MAX_REST_CYCLES
    assert flags(database) == []

    tell_services(database, ETH=active())
    later = replace(FOUND, generation=4)
    told = [told_by(drift_flags, later, cycle=cycle)[1] for cycle in range(200, 300)]
    assert flags(database) == [("ETH", "0.5", "0.3", 4, None)]
    assert len([sentences for sentences in told if sentences]) == 1


def test_resume_accepts_nothing_that_could_not_be_flagged(drift_flags: DriftFlags, database: Lease) -> None:
    tell_services(database, ETH=frozen())
    assert [told_by(drift_flags, found)[0] for found in (FOUND, RESUMED)] == [False, False]


def test_database_that_is_away_breaks_the_bot_within_bounds(environment: dict[str, str]) -> None:
    away = flags_of_a_new_process(
        {**environment, "GUI_DB_HOST": environment["BOT_HOME"], "GUI_DB_PASSWORD": "hunter-two"}
    )
    with pytest.raises(BotBroken) as broken:
        told_by(away, FOUND)
    assert broken.value.code == "bot/database_unavailable"
    assert "hunter-two" not in str(broken.value)


def test_database_without_the_tables_is_refused(drift_flags: DriftFlags, database: Lease) -> None:
    database.connection.execute("DROP TABLE managed_assets_history")
    with pytest.raises(BotRefused) as refused:
        told_by(drift_flags, FOUND)
    assert refused.value.code == "bot/database_schema"
