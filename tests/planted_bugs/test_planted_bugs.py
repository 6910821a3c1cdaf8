"""Each rule and each promise has a planted bug, and a named scenario that catches it."""

from pathlib import Path

import pytest

from sim.postgres.server import RunningServer
from sim.rules.registry import RULES
from tests.planted_bugs.bug import CAUGHT, PlantedBug, copy_source, plant
from tests.planted_bugs.catalogue import BUGS
from tests.planted_bugs.play import Played, play


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_caught_by_its_scenario(
    bug: PlantedBug, tmp_path: Path, postgres_server: RunningServer, record_property: object
) -> None:
    assert callable(record_property)
    record_property(CAUGHT, (bug.name, bug.claim, bug.scenarios[0].removeprefix("sim/scenarios/")))
    faulty = copy_source(tmp_path / "faulty")
    plant(faulty, bug)

    played = play(faulty, bug.scenarios, None if bug.changes_schema else postgres_server)

    assert played.failures, f"nothing failed, {played.passed} passed; {played.output}"
    assert any(bug.says in failure for failure in played.failures), "\n".join(played.failures)


def test_clean_source_passes_every_named_scenario(clean_twin: Played) -> None:
    assert clean_twin.failures == ()
    assert clean_twin.passed > 0, clean_twin.output


def test_every_rule_has_a_planted_bug() -> None:
    assert set(RULES) <= {bug.claim for bug in BUGS}


def test_every_planted_bug_has_its_own_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
