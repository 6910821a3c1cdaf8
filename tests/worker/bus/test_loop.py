"""How many commands are run, and what an idle worker waits for. Wake-up with real workers: `sim/scenarios/bus`."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from sim.postgres.leases import Lease
from tests.worker.bus.conftest import Outside, ToldHandler
from worker.bus.context import BusContext
from worker.bus.loop import CHANNEL, run_at_most, run_until_stopped, step

SHORT_POLL_S = 0.05


def never() -> bool:
    return False


class Script:
    """What happens outside each time the loop asks whether to stop; it stops when the script is at its end."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        if not self._acts:
            return True
        self._acts.pop(0)()
        return False


def nothing() -> None:
    pass


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """The pipe of a stop request: its end to read, its end to write."""
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    os.close(read_fd)
    os.close(write_fd)


def notify(outside: Outside) -> Callable[[], object]:
    return lambda: outside.rows(f"NOTIFY {CHANNEL}")


def seconds_of(context: BusContext, script: Script, wake_fd: int) -> float:
    started = time.monotonic()
    run_until_stopped(context, should_stop=script, wake_fd=wake_fd)
    return time.monotonic() - started


def test_step_runs_one_command_and_says_so(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    outside.put()

    assert [step(context), step(context)] == [True, False]
    assert len(handler.assignments) == 1


def test_step_finishes_what_it_took_over(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    handler.applied = True
    lapsed = outside.put(status="running", attempts=1, lease_ends="-1 second")

    assert step(context)
    assert outside.command(lapsed)["status"] == "succeeded"
    assert outside.log_of(lapsed) == ["lease_taken_over", "result_written"]


@pytest.mark.parametrize(("bound", "waiting", "done"), [(1, 3, 1), (2, 3, 2), (3, 3, 3), (5, 3, 3), (1, 0, 0)])
def test_bound_is_kept_and_an_empty_bus_ends_the_run(
    context: BusContext, outside: Outside, bound: int, waiting: int, done: int
) -> None:
    for number in range(waiting):
        outside.put(subject=f"S{number}")

    assert run_at_most(context, bound, should_stop=never) == done
    assert outside.rows("SELECT count(*) AS n FROM commands WHERE status = 'succeeded'")[0]["n"] == done


def test_stop_asked_for_before_the_first_command_runs_none(context: BusContext, outside: Outside) -> None:
    outside.put()

    assert run_at_most(context, 1, should_stop=lambda: True) == 0
    assert outside.rows("SELECT status FROM commands")[0]["status"] == "pending"


def test_stop_asked_for_in_mid_command_takes_effect_after_it(context: BusContext, outside: Outside) -> None:
    outside.put(subject="A")
    outside.put(subject="B")

    assert run_at_most(context, 5, should_stop=Script(nothing)) == 1


def test_stop_asked_for_while_lapsed_commands_are_put_back_takes_effect_before_the_next_claim(
    context: BusContext, outside: Outside
) -> None:
    lapsed = outside.put(subject="A", status="claimed", attempts=1, lease_ends="-1 second")
    waiting = outside.put(subject="B")

    # Nobody has asked for it before the first look, and somebody has before the second.
    assert run_at_most(context, 5, should_stop=Script(nothing)) == 0
    assert [outside.command(one)["status"] for one in (lapsed, waiting)] == ["pending", "pending"]


def test_idle_worker_sleeps_its_poll_out(context: BusContext, wake: tuple[int, int]) -> None:
    context = replace(context, poll_s=SHORT_POLL_S)
    script = Script(nothing, nothing, nothing)

    # Three looks, three sleeps: a loop that never slept would be through at once.
    assert seconds_of(context, script, wake[0]) >= 3 * SHORT_POLL_S
    assert script.asked == 4


def test_notification_cuts_the_sleep_short_and_is_used_up_by_it(
    context: BusContext, outside: Outside, wake: tuple[int, int]
) -> None:
    context = replace(context, poll_s=SHORT_POLL_S)

    # Two arrive before the first sleep and end it together; the second sleep is slept out.
    both = Script(lambda: [notify(outside)(), notify(outside)()], nothing)

    assert seconds_of(context, both, wake[0]) >= SHORT_POLL_S


def test_notification_or_stop_ends_a_sleep_at_once(
    context: BusContext, outside: Outside, wake: tuple[int, int]
) -> None:
    # Far longer than the time limit of a test: sleeping it out once would be noticed.
    context = replace(context, poll_s=3600.0)
    stop_is_written = lambda: os.write(wake[1], b"\x0f")  # noqa: E731

    run_until_stopped(context, should_stop=Script(notify(outside), notify(outside), stop_is_written), wake_fd=wake[0])


def test_idle_worker_waits_for_nothing_more_once_it_is_woken(context: BusContext, wake: tuple[int, int]) -> None:
    # The wake-up is never read, so that no look is slept after; a second spent on each would be noticed.
    context = replace(context, poll_s=3600.0)
    os.write(wake[1], b"\x0f")
    looks = 6

    assert seconds_of(context, Script(*[nothing] * looks), wake[0]) < looks


def test_commands_are_run_without_a_sleep_between_them(
    context: BusContext, outside: Outside, wake: tuple[int, int]
) -> None:
    context = replace(context, poll_s=3600.0)
    for number in range(3):
        outside.put(subject=f"S{number}")

    run_until_stopped(context, should_stop=Script(nothing, nothing, nothing), wake_fd=wake[0])

    assert outside.rows("SELECT count(*) AS n FROM commands WHERE status = 'succeeded'")[0]["n"] == 3


def test_server_that_went_away_ends_the_loop(
    context: BusContext, lease: Lease, outside: Outside, wake: tuple[int, int]
) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bus-test' AND datname = %s"

    with pytest.raises(psycopg.OperationalError):
        run_until_stopped(
            context, should_stop=Script(nothing_to_run_then(outside, cut, lease), nothing), wake_fd=wake[0]
        )


def nothing_to_run_then(outside: Outside, statement: str, lease: Lease) -> Callable[[], object]:
    return lambda: outside.rows(statement, lease.address.name)
