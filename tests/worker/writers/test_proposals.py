"""A risk proposal's file: written once, whole, durable, and never again.

Asked in review: an operator approved what the file said; could the file have said something else before or after?
Must hold: whatever is interrupted, there is no file or the whole one; the first one stands, whatever it holds.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.worker.contracts.proposal_cases import example_proposal, proposals
from tests.worker.writers.children import Children
from tests.worker.writers.file_steps import FileStep, FileSteps
from tests.worker.writers.homes import contents, put_proposal
from tests.worker.writers.power_cut import inside, possible_disks, write_disk
from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import Proposal
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.proposals import read_proposal
from worker.writers.home_lock import HomeLock, HomeLockNotHeld
from worker.writers.proposals import write_proposal

EXAMPLE = example_proposal()


def steps_of_writing(home: Home) -> list[FileStep]:
    steps = FileSteps()
    with steps.installed():
        put_proposal(home)
    return steps.steps


def test_file_holds_the_proposals_document(home: Home) -> None:
    assert put_proposal(home) is True

    assert json.loads(home.risk_proposal(EXAMPLE.proposal_id).read_text()) == proposal_document(EXAMPLE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(proposals)
def test_proposal_read_back_is_the_one_written(home: Home, proposal: Proposal) -> None:
    shutil.rmtree(home.risk_proposals, ignore_errors=True)
    with HomeLock(home) as lock:
        write_proposal(home, lock, proposal=proposal, attempt=1)

    assert read_proposal(home, proposal.proposal_id) == proposal


@pytest.mark.parametrize("there", [b"", b"{", b'{"schema_version": 1}'], ids=["empty", "truncated", "another"])
def test_file_that_is_there_stands_whatever_it_holds(home: Home, there: bytes) -> None:
    put_proposal(home)
    path = home.risk_proposal(EXAMPLE.proposal_id)
    path.write_bytes(there)

    assert put_proposal(home) is False
    assert {found.name: found.read_bytes() for found in home.risk_proposals.iterdir()} == {path.name: there}


def test_second_write_for_the_same_proposal_leaves_the_first(home: Home) -> None:
    put_proposal(home)

    with HomeLock(home) as lock:
        written = write_proposal(home, lock, proposal=replace(EXAMPLE, intent="another one"), attempt=2)

    assert written is False
    assert read_proposal(home, EXAMPLE.proposal_id) == EXAMPLE


def test_proposals_lie_beside_each_other(home: Home) -> None:
    with HomeLock(home) as lock:
        written = [write_proposal(home, lock, proposal=example_proposal(number), attempt=1) for number in (1, 2)]

    assert written == [True, True]
    assert len(list(home.risk_proposals.iterdir())) == 2


def test_proposal_without_the_lock_is_a_defect(home: Home) -> None:
    with pytest.raises(HomeLockNotHeld):
        write_proposal(home, HomeLock(home), proposal=EXAMPLE, attempt=1)

    assert list(home.root.iterdir()) == []


def test_proposal_the_schema_has_no_place_for_is_refused_and_nothing_written(home: Home) -> None:
    with HomeLock(home) as lock, pytest.raises(ValueError):
        write_proposal(home, lock, proposal=replace(EXAMPLE, asset="eth"), attempt=1)

    assert not home.risk_proposals.exists()


def test_steps_of_writing_are_those_of_the_contract_in_its_order(home: Home) -> None:
    home.state.mkdir()
    steps = [str(step) for step in steps_of_writing(home) if step.path.name not in (".lock", home.root.name)]

    name = f"{EXAMPLE.proposal_id}.json"
    temp = f".{name}.{EXAMPLE.command_id}-1.worker-tmp"
    assert [step for step in steps if not step.startswith("write ")] == [
        "mkdir risk_proposals",
        "sync folder state",
        f"create {temp}",
        f"sync file {temp}",
        f"link {temp} -> {name}",
        f"unlink {temp}",
        "sync folder risk_proposals",
    ]


def home_with_an_empty_folder(root: Path) -> Home:
    home = Home(root)
    home.risk_proposals.mkdir(parents=True)
    return home


def found_after_a_cut(home: Home, steps: Sequence[FileStep], scratch: Path) -> list[Proposal | str | None]:
    """What is read from each disk that a power cut right after `steps` can leave."""
    found: list[Proposal | str | None] = []
    for number, disk in enumerate(possible_disks({}, inside(home.risk_proposals, steps))):
        after = Home(scratch / str(number))
        write_disk(disk, old_state=home.risk_proposals, new_state=after.risk_proposals)
        found.append(read_or_damage(after))
    return found


def read_or_damage(home: Home) -> Proposal | str | None:
    try:
        return read_proposal(home, EXAMPLE.proposal_id)
    except DamagedFile:
        return "damaged"


def test_power_cut_at_every_step_leaves_no_proposal_or_the_whole_one(tmp_path: Path) -> None:
    home = home_with_an_empty_folder(tmp_path / "home")
    steps = steps_of_writing(home)

    found = [
        one
        for length in range(len(steps) + 1)
        for one in found_after_a_cut(home, steps[:length], tmp_path / f"cut-{length}")
    ]

    assert [one for one in found if one not in (None, EXAMPLE)] == []
    assert None in found
    # What was returned as written is written.
    at_the_end = found_after_a_cut(home, steps, tmp_path / "end")
    assert at_the_end == [EXAMPLE] * len(at_the_end)


@pytest.mark.parametrize(("left_out", "worst"), [("sync file", "damaged"), ("sync folder", None)])
def test_power_cut_without_one_of_the_syncs_loses_the_proposal(
    tmp_path: Path, left_out: str, worst: str | None
) -> None:
    home = home_with_an_empty_folder(tmp_path / "home")
    steps = [step for step in inside(home.risk_proposals, steps_of_writing(home)) if step.operation != left_out]

    assert worst in found_after_a_cut(home, steps, tmp_path / "end")


def test_retry_after_a_kill_at_any_step_has_the_whole_proposal(children: Children, tmp_path: Path) -> None:
    finished = home_with_an_empty_folder(tmp_path / "finished")
    planned = children.run("put_proposal", finished.root).steps

    outcomes = []
    for ordinal in range(1, len(planned) + 1):
        wreck = home_with_an_empty_folder(tmp_path / f"killed-{ordinal}")
        assert children.run("put_proposal", wreck.root, kill_at=ordinal).was_killed, planned[ordinal - 1]
        assert children.run("put_proposal", wreck.root).exit_code == 0
        outcomes.append(contents(wreck.root))

    assert outcomes == [contents(finished.root)] * len(planned)
