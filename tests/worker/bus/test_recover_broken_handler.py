"""A worker whose handler for one type cannot be imported: recovery goes on, and so does every other type."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.worker.managed_worlds import MINUTE, World
from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.bus.load_all import load_all
from worker.bus.loop import run_at_most
from worker.bus.recover import HandlerBroken
from worker.contracts.errors import Reason
from worker.handlers.registry import HANDLERS, HandlerRegistry

FAILED = ("failed", "recovery/attempts_exhausted")


@pytest.fixture
def broken(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusContext]:
    """The worker as it starts anew, without the module that the test names; the world's own worker has all of them."""
    load_all(HANDLERS)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, f"worker.handlers.{request.param}", None)
        yield replace(world.context, handlers=HandlerRegistry())


def run_once(context: BusContext) -> int:
    return run_at_most(context, 1, should_stop=lambda: False)


def begun(world: World, status: str, attempts: int) -> None:
    """Effects: what is pending was begun that often, and whoever held it went away."""
    world.rows(
        "UPDATE commands SET status = %s, attempts = %s, worker_id = 'gone', lease_expires_at = now() "
        "WHERE status = 'pending'",
        *(status, attempts),
    )


@pytest.mark.parametrize("broken", ["apply_profile"], indirect=True)
def test_dry_run_that_cannot_be_loaded_fails_after_its_last_attempt_and_keeps_nobody_waiting(
    world: World, broken: BusContext
) -> None:
    command = world.apply_profile()
    begun(world, "running", MAX_ATTEMPTS)
    other = world.request()

    assert run_once(broken) == 1

    assert (world.command(command), world.command(other)) == (FAILED, ("succeeded", None))
    assert world.log_of(command)[-1] == "lease_expired"


@pytest.mark.parametrize("broken", ["request_proposal"], indirect=True)
@pytest.mark.parametrize("attempts", [1, MAX_ATTEMPTS])
def test_running_change_that_nobody_can_ask_for_is_left_until_its_handler_is_back(
    world: World, broken: BusContext, attempts: int
) -> None:
    command = world.request()
    begun(world, "running", attempts)
    for _ in range(2):
        other = world.apply_profile()
        with pytest.raises(HandlerBroken) as caught:
            run_once(broken)
        assert caught.value.reason is Reason.HANDLER_NOT_AVAILABLE
        assert world.command(other) == ("succeeded", None)
        world.advance(MINUTE)
    assert world.command(command) == ("running", None)

    world.run()
    assert world.command(command) == {1: ("succeeded", None), MAX_ATTEMPTS: FAILED}[attempts]


@pytest.mark.parametrize("broken", ["request_proposal"], indirect=True)
def test_change_that_was_never_started_fails_without_its_handler(world: World, broken: BusContext) -> None:
    command = world.request()
    begun(world, "claimed", MAX_ATTEMPTS)
    other = world.apply_profile()

    assert run_once(broken) == 1

    assert (world.command(command), world.command(other)) == (FAILED, ("succeeded", None))


@pytest.mark.parametrize("broken", ["apply_profile"], indirect=True)
def test_command_whose_handler_cannot_be_loaded_still_stops_the_worker_that_runs_it(
    world: World, broken: BusContext
) -> None:
    command = world.apply_profile()

    with pytest.raises(ImportError):
        run_once(broken)

    assert world.command(command) == ("running", None)
