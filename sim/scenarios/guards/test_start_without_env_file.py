"""A worker in a home without `.env`: nothing but the environment says which network it is on.

Asked in review: the file was never copied to the new host; was a sloppy `BINANCE_TESTNET=True` enough to start?
Must hold: the flag is refused by itself, with no second layer to catch it; exactly `true` starts.
"""

import pytest

from sim.story import Stack
from worker.contracts.states import CommandStatus

REFUSED = 2
WRONG_FLAGS = {
    "unset": None,
    "True": "True",
    "1": "1",
    "leading space": " true",
    "trailing space": "true ",
    "false": "false",
    "empty": "",
}


@pytest.mark.parametrize("spelling", WRONG_FLAGS)
def test_flag_that_is_not_exactly_true_is_refused_by_itself(stack: Stack, spelling: str) -> None:
    stack.given.env_file(None)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation():
        ended = stack.worker.run_once(environment={"BINANCE_TESTNET": WRONG_FLAGS[spelling]})

    assert ended.exit_code == REFUSED
    assert "BINANCE_TESTNET" in ended.stderr
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.PENDING, 0)


def test_flag_that_is_exactly_true_is_enough(stack: Stack) -> None:
    stack.given.env_file(None)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    assert stack.worker.run_once(environment={"BINANCE_TESTNET": "true"}).exit_code == 0
    assert stack.command(command).status is CommandStatus.SUCCEEDED
