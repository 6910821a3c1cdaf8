"""What a proposal is made from: one active profile, and enough of the market.

Asked in review: the proposal came on a day when two profiles were active and the bot had just been started; from which
numbers was it made?
Must hold: without exactly one active profile, a price and two closes that differ there is no proposal; the request
fails, its asset stays frozen, and once the lack is mended the next request is carried out.
"""

from collections.abc import Callable

import pytest

from sim.story import REFERENCE_PROFILE, Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState, ProfileStatus

pytestmark = pytest.mark.needs_handlers("managed")

Act = Callable[[Stack], object]


def _archived(stack: Stack) -> None:
    stack.given.profile_is_now(REFERENCE_PROFILE, version=1, status=ProfileStatus.ARCHIVED)


def _active(stack: Stack) -> None:
    stack.given.profile_is_now(REFERENCE_PROFILE, version=1)


def _market(stack: Stack) -> None:
    stack.given.market()


LACKS: dict[str, tuple[Reason, tuple[Act, ...], Act]] = {
    "no active profile": (
        Reason.PROFILE_NOT_ACTIVE,
        (_market, _archived),
        _active,
    ),
    "two active profiles": (
        Reason.PROFILE_AMBIGUOUS,
        (_market, lambda stack: stack.given.profile(name="another")),
        _archived,
    ),
    "no market snapshot": (
        Reason.MARKET_DATA_INSUFFICIENT,
        (),
        _market,
    ),
    "no price of the asset": (
        Reason.MARKET_DATA_INSUFFICIENT,
        (lambda stack: stack.given.market(without=["ETH"]),),
        _market,
    ),
    "one close": (
        Reason.MARKET_DATA_INSUFFICIENT,
        (lambda stack: stack.given.market(closes_n=1),),
        lambda stack: stack.given.market(closes_n=2),
    ),
    "closes that never move": (
        Reason.MARKET_DATA_INSUFFICIENT,
        (lambda stack: stack.given.market({"ETH": "3000"}, closes={"ETH": ["3000", "3000", "3000"]}),),
        lambda stack: stack.given.market({"ETH": "3000"}, closes={"ETH": ["3000", "3000", "3000.01"]}),
    ),
}


@pytest.mark.parametrize("lack", LACKS)
def test_request_without_a_basis_fails_and_can_be_made_again_once_there_is_one(stack: Stack, lack: str) -> None:
    reason, bring_about, mend = LACKS[lack]
    stack.expects(reason)
    stack.given.reference_profile()
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    for act in bring_about:
        act(stack)
    requested = stack.operator("day").request("ETH")

    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(requested).reason is reason
    assert stack.asset("ETH").state is ManagedState.FROZEN
    ended = stack.proposal(requested)
    assert (ended.state, ended.document, ended.decided_at) == (ManagedState.EXPIRED, None, None)

    mend(stack)
    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.command(again).status is CommandStatus.SUCCEEDED
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED
