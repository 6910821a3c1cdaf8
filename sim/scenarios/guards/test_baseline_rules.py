"""A new baseline while an asset is under management.

Asked in review: the holdings were entered again while ETH was traded; did the new baseline overwrite its state?
Must hold: a baseline is refused unless every asset is frozen; both files, the cache and the trail say nothing new.
"""

import pytest

from sim.story import Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

MOVING = [state for state in ManagedState if state is not ManagedState.FROZEN]


def _eth_is_now(stack: Stack, state: ManagedState) -> None:
    """The file says so, as the services of managed holdings will leave it."""
    stack.leaves_behind("state/managed_state.json")
    path = stack.home / "state" / "managed_state.json"
    frozen, entry = b'"state": "frozen"', f'"state": "{state}"'.encode()
    before, eth, after = path.read_bytes().partition(b'"ETH"')
    path.write_bytes(before + eth + after.replace(frozen, entry, 1))


@pytest.mark.parametrize("state", MOVING, ids=str)
def test_baseline_while_an_asset_is_not_frozen_is_refused(stack: Stack, state: ManagedState) -> None:
    stack.expects(Reason.ASSET_NOT_FROZEN)
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    _eth_is_now(stack, state)
    command = stack.operator("day").apply_baseline({"BTC": "0.6", "ETH": "2"})

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.ASSET_NOT_FROZEN)
    assert stack.audit_of(command) == ["baseline.apply_requested", "baseline.apply_failed"]


def test_baseline_while_every_asset_is_frozen_is_applied(stack: Stack) -> None:
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    _eth_is_now(stack, ManagedState.FROZEN)
    command = stack.operator("day").apply_baseline({"BTC": "0.6", "ETH": "2"})

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.scalar("SELECT quantity::text FROM baseline_holdings WHERE asset = 'BTC'") == "0.6"
