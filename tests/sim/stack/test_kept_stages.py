"""Starting facts that are given again are those that were made, and only where nothing has happened before."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from sim.clock import hours
from sim.postgres.leases import LeasePool
from sim.schedule.files import Files
from sim.stack.given_managed import ManagedGiven
from sim.stack.kept_stages import KeptStages
from sim.stack.stack import Stack, open_stack
from sim.stack.warm_up import LazyZygote
from worker.contracts.errors import Reason
from worker.db.schema import metadata

Opener = Callable[[KeptStages | None], AbstractContextManager[Stack]]

STAGES: dict[str, Callable[[ManagedGiven], object]] = {
    "proposed": lambda given: given.risk_proposed("BTC"),
    "active": lambda given: given.managed_active("BTC"),
    "paused": lambda given: given.paused("BTC"),
    "flagged": lambda given: given.drift_flagged("BTC"),
    "baseline": lambda given: given.applied_baseline({"BTC": "0.5"}),
}


@pytest.fixture
def play(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path, patched_time: None) -> Opener:
    """Opens one stack after the other, each in a folder of its own, on the stages that it is given."""
    folders = (tmp_path / f"story-{number}" for number in range(10))

    @contextmanager
    def opened(stages: KeptStages | None) -> Iterator[Stack]:
        folder = next(folders)
        folder.mkdir()
        with lease_pool.acquire() as lease, open_stack(lease, folder, zygote=zygote.get, stages=stages) as stack:
            yield stack

    return opened


def what_stands(stack: Stack) -> tuple[object, ...]:
    """Rows, files and events of a stage; of what the stage saw, only that it looked."""
    rows = {table.name: stack.rows.dump(table.name) for table in metadata.sorted_tables}
    files = {name: (file.mode, file.content) for name, file in Files(stack.home).keep().items()}
    events = [(event.actor, event.kind, event.subject, event.at, dict(event.detail)) for event in stack.timeline]
    seen = [kind for actor, kind, *_ in events if actor == "witness"]
    return rows, files, [event for event in events if event[0] != "witness"], seen


@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_stage_given_again_is_the_one_that_was_made(play: Opener, make: Callable[[ManagedGiven], object]) -> None:
    stages = KeptStages()
    with play(stages) as first:
        made, made_stage = make(first.given), what_stands(first)
    assert stages.given_again == 0
    with play(stages) as second:
        given, given_stage = make(second.given), what_stands(second)
        breaches = second.finish()
    assert stages.given_again == 1
    assert given == made
    assert given_stage == made_stage
    assert breaches == ()


def test_story_goes_on_from_a_stage_given_again(play: Opener) -> None:
    stages = KeptStages()
    ends = []
    for _ in range(2):
        with play(stages) as stack:
            stack.given.managed_active("BTC")
            pause = stack.operator().pause("BTC")
            stack.worker.run_once()
            ends.append((stack.command(pause).status, stack.path_of("BTC"), stack.asset("BTC").state))
            assert stack.finish() == ()
    assert stages.given_again == 1
    assert ends[0] == ends[1]


def test_numbers_drawn_after_a_stage_given_again_are_new(play: Opener) -> None:
    stages = KeptStages()
    for _ in range(2):
        with play(stages) as stack:
            stack.given.risk_proposed("BTC")
            highest = stack.rows.scalar("SELECT max(id) FROM audit_events")
            stack.operator().request("ETH")
            assert stack.rows.scalar("SELECT min(id) FROM audit_events WHERE id > %s", highest) == highest + 1


def test_what_one_story_does_to_an_answer_is_nothing_to_the_next(play: Opener) -> None:
    stages = KeptStages()
    with play(stages) as first:
        document = first.given.risk_proposed("BTC").document
        assert document is not None
        whole = dict(document)
        document.clear()
    with play(stages) as second:
        assert second.given.risk_proposed("BTC").document == whole


def test_stage_is_made_anew_where_something_has_happened(play: Opener) -> None:
    stages = KeptStages()
    with play(stages) as first:
        first.given.risk_proposed("BTC")
    with play(stages) as second:
        second.given.market({"BTC": "90000"})
        assert second.given.risk_proposed("BTC").document != first_document(stages)
    assert stages.given_again == 0


def test_stage_is_made_anew_under_a_clock_that_was_moved(play: Opener) -> None:
    stages = KeptStages()
    generated: list[datetime | None] = []
    for _ in range(2):
        with play(stages) as stack:
            stack.clock.advance(len(generated) * hours(1))
            generated.append(stack.given.risk_proposed("BTC").generated_at)
    assert generated[0] is not None
    assert (stages.given_again, generated[1]) == (0, generated[0] + hours(1))


def test_stage_is_made_anew_in_a_home_that_was_changed_by_hand(play: Opener) -> None:
    stages = KeptStages()
    for text in (None, "a note\n"):
        with play(stages) as stack:
            note = stack.home / "logs" / "note"
            note.write_text(text) if text else None
            stack.given.risk_proposed("BTC")
            assert note.exists() is (text is not None)
    assert stages.given_again == 0


def test_other_facts_than_those_kept_are_made(play: Opener) -> None:
    stages = KeptStages()
    with play(stages) as first:
        first.given.risk_proposed("BTC", intent="One.")
    with play(stages) as second:
        proposal = second.given.risk_proposed("ETH", intent="Other.")
        assert (proposal.asset, second.path_of("ETH")[-1]) == ("ETH", "risk_proposed")


def first_document(stages: KeptStages) -> object:
    """The document of the one proposal that is kept."""
    (answer,) = [stage.answer for what, stage in stages.by_what.items() if str(what).startswith("(('proposed'")]
    return answer.document


def test_what_a_scenario_expects_of_itself_stands_before_a_stage_given_again(play: Opener) -> None:
    stages = KeptStages()
    with play(stages) as first:
        first.given.risk_proposed("BTC")
    with play(stages) as second:
        second.expects(Reason.CHECKSUM_MISMATCH)
        second.given.risk_proposed("BTC")
        assert [event.subject for event in second.timeline.of_kind("scenario.expects")] == [
            Reason.CHECKSUM_MISMATCH.value
        ]
    assert stages.given_again == 1


def test_without_stages_everything_is_made(play: Opener) -> None:
    for _ in range(2):
        with play(None) as stack:
            stack.given.risk_proposed("BTC")
            assert {event.actor for event in stack.timeline} >= {"worker:earlier-worker", "operator:day"}
