"""Which worker counts as idle, and that a fault which has nobody to meet is refused."""

from contextlib import closing

import psycopg
import pytest

from sim.errors import SimError
from sim.story import Stack
from worker.db.claim_store import _CLAIM, _CLAIM_UNLESS_DUE

NOBODY = {"worker_id": "w", "set_aside": [], "looks_for_due": True, "damaged": [], "files_due_at": None}


def test_worker_is_idle_after_its_second_look_and_not_between_its_two(stack: Stack) -> None:
    with closing(psycopg.connect(stack.faults.address.conninfo(), autocommit=True)) as session:
        session.execute(_CLAIM_UNLESS_DUE, NOBODY)
        between = stack.rows.idle_workers()
        session.execute(_CLAIM, NOBODY)
        after, pid = stack.rows.idle_workers(), session.info.backend_pid

    assert (between, after) == ([], [pid])


def test_cut_that_finds_no_session_is_refused(stack: Stack) -> None:
    with pytest.raises(SimError) as failed:
        stack.faults.cut(stack.rows.idle_workers())

    assert failed.value.code == "stage/nothing_to_cut"


def test_cut_of_an_idle_worker_ends_its_session(stack: Stack) -> None:
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    stack.faults.cut(stack.rows.idle_workers())

    assert worker.wait().exit_code == 1
    assert stack.rows.idle_workers() == []
