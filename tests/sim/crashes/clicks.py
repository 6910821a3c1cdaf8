"""A click for each command type that changes files, each with all that it needs; and how ETH stands afterwards."""

from sim.stack.stack import Stack
from worker.contracts.states import ManagedState
from worker.services.submission import CreatedCommand

HELD = {"BTC": "0.5", "ETH": "2"}


def baseline(stack: Stack) -> CreatedCommand:
    """The first baseline of a home."""
    return stack.operator().apply_baseline(HELD)


def request(stack: Stack) -> CreatedCommand:
    """The first request of an asset."""
    stack.given.reference_profile()
    stack.given.applied_baseline(HELD)
    stack.given.market()
    return stack.operator().request("ETH")


def approve(stack: Stack) -> CreatedCommand:
    """An approval of an open proposal."""
    proposal = stack.given.risk_proposed("ETH")
    return stack.operator().approve(proposal, "balanced", confidence_override=True)


def reject(stack: Stack) -> CreatedCommand:
    """A rejection of an open proposal."""
    return stack.operator().reject(stack.given.risk_proposed("ETH"), reason="spread too wide")


def pause(stack: Stack) -> CreatedCommand:
    """A pause of a managed asset."""
    stack.given.managed_active("ETH")
    return stack.operator().pause("ETH")


def resume(stack: Stack) -> CreatedCommand:
    """A resumption of a paused asset."""
    stack.given.paused("ETH")
    return stack.operator().resume("ETH")


def release(stack: Stack) -> CreatedCommand:
    """A release of a managed asset."""
    stack.given.managed_active("ETH")
    return stack.operator().release("ETH", "return_to_baseline")


def flag_drift(stack: Stack) -> CreatedCommand:
    """A flag that the bot raises on a managed asset."""
    stack.given.managed_active("ETH")
    return stack.given.flag_of_the_bot("ETH")


CLICKS = (
    (baseline, ManagedState.FROZEN),
    (request, ManagedState.RISK_PROPOSED),
    (approve, ManagedState.MANAGED_ACTIVE),
    (reject, ManagedState.FROZEN),
    (pause, ManagedState.PAUSED),
    (resume, ManagedState.MANAGED_ACTIVE),
    (release, ManagedState.FROZEN),
    (flag_drift, ManagedState.DRIFT_FLAGGED),
)
"""Each click with the state that its command leads to."""
