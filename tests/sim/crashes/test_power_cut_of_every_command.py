"""The power cut at every step of every command that changes files, on a disk that promises no more than POSIX does.

Asked in review: the host lost its power while an asset was moved; which of its files were on the disk by then?
Must hold: whatever names and contents of the unsynced are lost, each for itself, the next worker brings the command to
its one end, and nothing is lost that the database was told of.
"""

from collections.abc import Callable

import pytest

from sim.story import Stack, every_power_cut, minutes
from tests.sim.crashes.clicks import CLICKS
from worker.contracts.states import CommandStatus, ManagedState
from worker.services.submission import CreatedCommand

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize(("click", "becomes"), CLICKS, ids=lambda value: getattr(value, "__name__", str(value)))
@every_power_cut(names_in_order=False)
def test_command_whose_power_is_cut_at_every_step_takes_effect_once(
    stack: Stack, click: Callable[[Stack], CreatedCommand], becomes: ManagedState
) -> None:
    command = click(stack)
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert stack.asset("ETH").state is becomes
    assert stack.log_of(command).count("result_written") == 1


@every_power_cut(names_in_order=False)
def test_sweep_whose_power_is_cut_at_every_step_expires_the_proposal_once(stack: Stack) -> None:
    # 09:00  A proposal is open for fifteen minutes. 09:16  Nobody has decided.
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(minutes(16))
    with stack.race() as race:
        race.worker("w1")

    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert stack.asset("ETH").state is ManagedState.FROZEN
    assert stack.path_of("ETH") == ["frozen", "proposal_pending", "risk_proposed", "expired", "frozen"]
