"""Which functions a block calls: however they are reached, in order, and nothing else."""

import cProfile
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest

from sim.witness.calls import MAX_CALLS, calls_into
from worker.guards import decisions
from worker.writers import atomic, document

WRITERS = "worker/writers"


def test_call_into_a_folder_is_noted_by_file_and_function() -> None:
    with calls_into(WRITERS) as calls:
        atomic.is_temp("x")

    assert (calls.seen, calls.is_blind) == (["worker/writers/atomic.py:is_temp"], False)


def test_call_by_another_name_or_from_deep_below_is_noted_all_the_same() -> None:
    by_another_name = {"x": atomic.is_temp}
    with calls_into(WRITERS) as calls:
        sorted([".a.worker-tmp", "b"], key=by_another_name["x"])

    assert calls.seen == ["worker/writers/atomic.py:is_temp"] * 2


def test_calls_elsewhere_are_not_noted() -> None:
    with calls_into(WRITERS) as calls:
        decisions.hard_confirm_text("ETH", "balanced")
        atomic_path = Path(atomic.__file__)
        atomic_path.exists()

    assert calls.seen == []


def test_calls_before_and_after_the_block_are_not_noted() -> None:
    atomic.is_temp("before")
    with calls_into(WRITERS) as calls:
        pass
    atomic.is_temp("after")

    assert calls.seen == []


def test_block_that_fails_tells_what_it_called_and_listens_no_longer() -> None:
    with calls_into(WRITERS) as calls, pytest.raises(AttributeError):
        atomic.is_temp(None)  # type: ignore[arg-type]
    atomic.is_temp("after")

    assert len(calls.seen) == 1


def test_profile_function_that_was_there_is_put_back() -> None:
    def earlier(*_: object) -> None:
        pass

    before = sys.getprofile()
    sys.setprofile(earlier)
    try:
        with calls_into(WRITERS):
            pass
        found = sys.getprofile()
    finally:
        sys.setprofile(before)

    assert found is earlier


def test_profiler_of_c_code_is_left_at_work_and_the_block_says_it_was_unseen() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        with calls_into(WRITERS) as calls:
            atomic.is_temp("x")
        left: object = sys.getprofile()
    finally:
        profiler.disable()
    assert (calls.seen, calls.is_blind) == ([], True)
    assert left is profiler


def test_other_thread_is_not_listened_to() -> None:
    other = threading.Thread(target=atomic.is_temp, args=("x",))
    with calls_into(WRITERS) as calls:
        other.start()
        other.join(10)

    assert calls.seen == []


def test_many_calls_are_cut_at_a_bound() -> None:
    with calls_into(WRITERS) as calls:
        for number in range(MAX_CALLS + 5):
            atomic.temp_path(Path("x"), owner=str(UUID(int=number)))

    assert len(calls.seen) == MAX_CALLS


def test_several_folders_are_one_block() -> None:
    with calls_into("worker/guards", WRITERS) as calls:
        decisions.hard_confirm_text("ETH", "balanced")
        document.encode_document({})

    assert {place.split(":")[0] for place in calls.seen} == {
        "worker/guards/decisions.py",
        "worker/writers/document.py",
    }
