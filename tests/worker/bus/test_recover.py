"""What becomes of commands whose holder went away: one at a time where a change is on disk, else all at once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.worker.bus.conftest import WORKER, Outside, ToldHandler
from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.bus.recover import recover_lapsed
from worker.contracts.errors import Reason, TransientError
from worker.db import bus_store
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock

GONE = "-1 second"


@contextmanager
def somebody_holds(home: Home) -> Iterator[None]:
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def test_nothing_lapsed_is_nothing_to_do(context: BusContext, outside: Outside) -> None:
    running = outside.put(status="running", attempts=1, lease_ends="1 second")

    assert recover_lapsed(context) is None
    assert (outside.command(running)["status"], outside.log_of(running)) == ("running", [])


@pytest.mark.parametrize("status", ["claimed", "running"])
@pytest.mark.parametrize("command_type", ["apply_profile_testnet", "apply_baseline_holdings", "sell_everything"])
@pytest.mark.parametrize(("attempts", "left"), [(MAX_ATTEMPTS - 1, "pending"), (MAX_ATTEMPTS, "failed")])
def test_lapsed_command_is_put_back_until_its_attempts_are_used_up(
    context: BusContext, outside: Outside, status: str, command_type: str, attempts: int, left: str
) -> None:
    command_id = outside.put(command_type, status=status, attempts=attempts, lease_ends=GONE)

    assert recover_lapsed(context) is None

    row = outside.command(command_id)
    assert (row["status"], row["attempts"], row["lease_expires_at"]) == (left, attempts, None)
    assert outside.log_of(command_id) == ["lease_expired"]
    ending = {"pending": (None, None), "failed": ({"ok": False, "reason": "recovery/attempts_exhausted"}, "gone")}
    assert (row["result_json"], row["worker_id"]) == ending[left]


def test_all_that_is_not_on_disk_is_recovered_at_once(context: BusContext, outside: Outside) -> None:
    lapsed = [
        outside.put(subject=f"S{number}", status="running", attempts=number, lease_ends=GONE) for number in (1, 2, 3)
    ]

    assert recover_lapsed(context) is None

    assert [outside.command(command_id)["status"] for command_id in lapsed] == ["pending", "pending", "failed"]


def test_only_the_first_whose_change_is_on_disk_is_taken_over(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    handler.applied = True
    later = outside.put(subject="A", status="running", attempts=1, lease_ends="-1 second")
    first = outside.put(subject="B", status="running", attempts=1, lease_ends="-3 seconds")
    claimed = outside.put(subject="C", status="claimed", attempts=1, lease_ends="-4 seconds")
    second = outside.put(subject="D", status="running", attempts=1, lease_ends="-2 seconds")

    taken = recover_lapsed(context)

    assert taken is not None
    assert (taken.command_id, taken.attempt, taken.worker_id) == (first, 2, WORKER)
    # A claim that never ran has no change; whoever comes after the one taken over waits for the next look.
    assert outside.command(claimed)["status"] == "pending"
    assert [outside.command(command_id)["attempts"] for command_id in (second, later)] == [1, 1]
    assert [outside.command(command_id)["worker_id"] for command_id in (second, later)] == ["gone", "gone"]


def test_dry_run_is_never_taken_over(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    handler.applied = True
    command_id = outside.put("apply_profile_testnet", status="running", attempts=1, lease_ends=GONE)

    assert recover_lapsed(context) is None
    assert outside.command(command_id)["status"] == "pending"


def test_home_that_somebody_holds_leaves_a_running_change_alone(
    context: BusContext, outside: Outside, home: Home
) -> None:
    command_id = outside.put(status="running", attempts=MAX_ATTEMPTS, lease_ends=GONE)

    with somebody_holds(home), pytest.raises(TransientError) as caught:
        recover_lapsed(context)

    assert caught.value.reason is Reason.HOME_LOCKED
    assert (outside.command(command_id)["status"], outside.log_of(command_id)) == ("running", [])


def test_home_that_somebody_holds_does_not_keep_a_dry_run(context: BusContext, outside: Outside, home: Home) -> None:
    command_id = outside.put("apply_profile_testnet", status="running", attempts=1, lease_ends=GONE)

    with somebody_holds(home):
        assert recover_lapsed(context) is None

    assert outside.command(command_id)["status"] == "pending"


@pytest.mark.parametrize("meanwhile", ["lease_expires_at = now() + interval '1 second'", "attempts = attempts + 1"])
def test_lease_that_moved_between_look_and_recovery_is_left_alone(
    context: BusContext, outside: Outside, meanwhile: str
) -> None:
    # Its holder was only slow, or another worker came first: after the look, and before the statement that acts on it.
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    (lapsed,) = bus_store.lapsed_leases(context.connection)
    outside.rows(f"UPDATE commands SET {meanwhile}")
    before = outside.command(command_id)

    moved = [
        bus_store.put_back(context.connection, lapsed, worker_id=WORKER),
        bus_store.give_up(context.connection, lapsed, worker_id=WORKER, result={}, error_message="gone", audit_rows=()),
        bus_store.take_over(context.connection, lapsed, worker_id=WORKER),
    ]

    assert moved == [False, False, None]
    assert (outside.command(command_id), outside.log_of(command_id)) == (before, [])


def test_home_lock_is_free_again_after_recovery(context: BusContext, outside: Outside, home: Home) -> None:
    outside.put(status="running", attempts=1, lease_ends=GONE)

    recover_lapsed(context)

    with HomeLock(home, max_attempts=1) as lock:
        lock.require_held(home)
