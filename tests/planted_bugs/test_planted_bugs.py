"""Each rule and each promise has a planted bug, and a named scenario that catches it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.postgres.server import RunningServer
from sim.rules.registry import RULES
from tests.planted_bugs.bug import CAUGHT, PlantedBug, copy_source, plant
from tests.planted_bugs.bugs_crashes import BUGS as CRASH_BUGS
from tests.planted_bugs.bugs_races import BUGS as RACE_BUGS
from tests.planted_bugs.catalogue import BUGS
from tests.planted_bugs.play import play, problem_of, token_in
from tests.planted_bugs.warm_pytest import WarmPytest

SHARES = 8
"""The clean twins are played in this many runs, so that they spread over the processes of a run in parallel."""

TOKEN_BUGS = (*RACE_BUGS, *CRASH_BUGS)
"""Those that show in some orders, or where somebody is struck at some step: the failure's token plays them again."""

SCENARIOS = sorted({scenario for bug in BUGS for scenario in bug.scenarios})


@pytest.mark.parametrize("share", range(SHARES))
def test_clean_source_passes_every_named_scenario(
    share: int, tmp_path: Path, postgres_server: RunningServer, warm_pytest: WarmPytest
) -> None:
    scenarios = SCENARIOS[share::SHARES]
    played = play(copy_source(tmp_path / "clean", scenarios), scenarios, postgres_server, warm_pytest)

    assert played.failures == ()
    assert played.broken == 0, played.output
    assert played.passed >= len(scenarios), played.output


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in TOKEN_BUGS], ids=lambda bug: bug.name)
def test_planted_bug_is_caught_by_its_scenario(
    bug: PlantedBug,
    tmp_path: Path,
    postgres_server: RunningServer,
    warm_pytest: WarmPytest,
    record_property: Callable[[str, object], None],
) -> None:
    _note(bug, record_property)
    faulty = _faulty_source(bug, tmp_path)

    played = play(faulty, bug.scenarios, None if bug.builds_database else postgres_server, warm_pytest)

    problem = problem_of(bug, played)
    assert problem is None, problem


@pytest.mark.parametrize("bug", TOKEN_BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_caught_in_some_order_and_again_by_its_token(
    bug: PlantedBug,
    tmp_path: Path,
    postgres_server: RunningServer,
    warm_pytest: WarmPytest,
    record_property: Callable[[str, object], None],
) -> None:
    _note(bug, record_property)
    faulty = _faulty_source(bug, tmp_path)
    server = None if bug.builds_database else postgres_server

    found = play(faulty, bug.scenarios, server, warm_pytest)
    problem, token = problem_of(bug, found), token_in(found)
    assert problem is None, problem
    assert token is not None, found.failures

    repeated = play(faulty, bug.scenarios, server, warm_pytest, "--sim-token", token)
    problem = problem_of(bug, repeated)
    assert problem is None, problem


def _note(bug: PlantedBug, record_property: Callable[[str, object], None]) -> None:
    """Effects: the table of what caught what has a row for it."""
    scenarios = ", ".join(scenario.removeprefix("sim/scenarios/") for scenario in bug.scenarios)
    record_property(CAUGHT, (bug.name, bug.claim, scenarios))


def _faulty_source(bug: PlantedBug, tmp_path: Path) -> Path:
    faulty = copy_source(tmp_path / "faulty", bug.scenarios)
    plant(faulty, bug)
    return faulty


def test_every_rule_has_a_planted_bug() -> None:
    assert set(RULES) <= {bug.claim for bug in BUGS}


def test_every_planted_bug_has_its_own_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
