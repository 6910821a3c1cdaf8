"""An operator who may no longer command by the time their command runs, and a flag that no user may raise.

Asked in review: she had left the desk and her role was taken from her at noon; did what she had clicked before still
change what the bot trades? And who had flagged ETH, the bot or somebody in its name?
Must hold: the worker asks itself who requested a command, as it asks everything else: only an admin's runs; a drift
flag is the bot's own word, and one that is put down to a user is refused; no refused command touches a file.
"""

from collections.abc import Callable

import pytest

from sim.story import CreatedCommand, Operator, Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

Click = Callable[[Stack, Operator], CreatedCommand]


def _request(stack: Stack, operator: Operator) -> CreatedCommand:
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    return operator.request("ETH")


def _approve(stack: Stack, operator: Operator) -> CreatedCommand:
    return operator.approve(stack.given.risk_proposed("ETH"), "balanced")


def _reject(stack: Stack, operator: Operator) -> CreatedCommand:
    return operator.reject(stack.given.risk_proposed("ETH"), reason="spread too wide")


def _promote(stack: Stack, operator: Operator) -> CreatedCommand:
    return operator.promote_dry_run("ETH", stack.given.risk_proposed("ETH"), "balanced")


def _pause(stack: Stack, operator: Operator) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return operator.pause("ETH")


def _resume(stack: Stack, operator: Operator) -> CreatedCommand:
    stack.given.paused("ETH")
    return operator.resume("ETH")


def _release(stack: Stack, operator: Operator) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return operator.release("ETH", "return_to_baseline")


def _apply_profile(stack: Stack, operator: Operator) -> CreatedCommand:
    return operator.apply_profile(stack.given.reference_profile())


def _apply_baseline(stack: Stack, operator: Operator) -> CreatedCommand:
    return operator.apply_baseline({"ETH": "2"})


CLICKS: dict[str, Click] = {
    "request": _request,
    "approve": _approve,
    "reject": _reject,
    "promote": _promote,
    "pause": _pause,
    "resume": _resume,
    "release": _release,
    "apply profile": _apply_profile,
    "apply baseline": _apply_baseline,
}
OF_ANY_WORKER = ("apply profile", "apply baseline")
BUTTONS = [
    pytest.param(button, marks=() if button in OF_ANY_WORKER else pytest.mark.needs_handlers("managed"))
    for button in CLICKS
]


@pytest.mark.parametrize("button", BUTTONS)
def test_command_of_an_operator_who_lost_the_role_since_the_click_changes_nothing(stack: Stack, button: str) -> None:
    # She clicks while she is an admin; the worker comes when she is none any more.
    stack.expects(Reason.USER_NOT_ALLOWED)
    command = CLICKS[button](stack, stack.operator("night"))
    stack.given.role_is_now("night", "viewer")

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.USER_NOT_ALLOWED)


@pytest.mark.parametrize("button", BUTTONS)
def test_command_of_an_operator_who_has_the_role_again_runs(stack: Stack, button: str) -> None:
    command = CLICKS[button](stack, stack.operator("night"))
    stack.given.role_is_now("night", "viewer")
    stack.given.role_is_now("night", "admin")

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.needs_handlers("managed")
def test_drift_flag_in_the_name_of_a_user_is_refused_and_the_bots_own_is_taken(stack: Stack) -> None:
    stack.expects(Reason.REQUESTER_MISMATCH)
    stack.given.managed_active("ETH")
    drift = CommandType.FLAG_MANAGED_DRIFT
    forged = stack.bus.put_unchecked(drift, "ETH", managed_payload(drift, "ETH", requested_by=24), requested_by=24)
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(forged).reason == Reason.REQUESTER_MISMATCH
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE

    own = stack.given.flag_of_the_bot("ETH")
    stack.worker.run_once()

    assert stack.command(own).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.DRIFT_FLAGGED
