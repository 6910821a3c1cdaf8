"""A worker killed at every step, in every order of its steps and a move of the clock."""

import pytest

from sim.story import REFERENCE_PROFILE, Stack, between, every_crash, every_interleaving, seconds
from worker.contracts.states import CommandStatus

pytestmark = [
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
    pytest.mark.timeout(300),
]


@every_interleaving
@every_crash
def test_dry_run_killed_at_every_step_in_every_order_ends_once(stack: Stack) -> None:
    # 09:00  A dry run waits; half a minute passes before, between or after the steps of the worker that takes it.
    stack.given.reference_profile()
    command = stack.operator("day").apply_profile(REFERENCE_PROFILE)
    with stack.race(reaches=between("clock", after="w1:update:commands", before="w1:update:commands:2")) as race:
        race.worker("w1")
        race.start(stack.clock.advance, seconds(30), name="clock")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command).count("result_written") == 1
