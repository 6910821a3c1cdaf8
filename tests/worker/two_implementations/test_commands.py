"""The real worker and one written by somebody else do the same: same rows, same files, same exit codes.

Whatever differs is either a defect of one of them or a place where docs/bring_your_own_worker.md is silent.
"""

from collections.abc import Iterator

import pytest

from sim.postgres.leases import LeasePool
from tests.worker.two_implementations.broken_commands import CASES, Case
from tests.worker.two_implementations.playing import both, opened_worlds
from tests.worker.two_implementations.worlds import World


@pytest.fixture(scope="module")
def played(pool: LeasePool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """Both worlds after all cases were put on the bus and run."""
    with opened_worlds(pool, tmp_path_factory.mktemp("cases")) as opened:
        for world in opened:
            for case in CASES:
                case.put(world)
        codes = both(opened, lambda world: world.run("--max-iterations", str(len(CASES) + 1)))
        assert codes == (0, 0)
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_command_ends_the_same_and_for_the_expected_reason(played: tuple[World, World], case: Case) -> None:
    real, foreign = (world.commands()[case.name] for world in played)

    assert real == foreign
    assert (real["status"], real["reason"]) == (("failed", case.reason) if case.reason else ("succeeded", None))


def test_files_and_cache_are_the_same_after_all_commands(played: tuple[World, World]) -> None:
    real, foreign = (world.picture() for world in played)

    assert real["files"] == foreign["files"]
    assert real["cache"] == foreign["cache"]
    assert [row[1:] for row in real["log"]] == [row[1:] for row in foreign["log"]]


def test_dry_run_leaves_four_rows_and_a_broken_envelope_two(played: tuple[World, World]) -> None:
    events = {name: [row[0] for row in command["log"]] for name, command in played[1].commands().items()}
    prefix = "apply_profile_testnet.dry_run_"

    assert events["profile: good"] == ["started", f"{prefix}started", f"{prefix}succeeded", "result_written"]
    assert events["profile: tampered"] == ["started", f"{prefix}started", f"{prefix}rejected", "result_written"]
    assert events["unknown type"] == ["started", "result_written"]
    assert events["profile: payload is null"] == ["started", "result_written"]
