"""Two operators ask for a proposal for the same asset at the same moment.

Asked in review: two proposals for one asset were open; how did the second get past the check?
Must hold: requests for one asset come one after the other, so that the second sees the first; requests for two assets
do not hold each other up.
"""

import pytest

from sim.story import ANYBODY_WAITED, BASELINE, Stack, at_once, every_interleaving
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")


@every_interleaving
def test_two_requests_for_one_asset_open_one_proposal(stack: Stack) -> None:
    stack.given.applied_baseline(BASELINE)
    stack.given.reference_profile()
    stack.given.market()
    day, night = stack.operator("day"), stack.operator("night")

    with stack.race() as race:
        race.start(day.request, day.open_asset("BTC"))
        race.start(night.request, night.open_asset("BTC"))

    winner, loser = race.winner_and_loser()
    assert loser.outcome.code == Reason.PROPOSAL_ALREADY_OPEN
    assert stack.rows.count("managed_proposals") == 1
    stack.worker.run_once()
    assert stack.command(winner.value).status is CommandStatus.SUCCEEDED
    assert stack.asset("BTC").state is ManagedState.RISK_PROPOSED


@every_interleaving(max_preemptions=1)
def test_requests_for_two_assets_do_not_wait_for_each_other(stack: Stack) -> None:
    # The accepted twin: what is locked is the asset, not the table.
    stack.given.applied_baseline(BASELINE)
    day, night = stack.operator("day"), stack.operator("night")

    with stack.race(reaches=at_once("day", "night"), avoids=ANYBODY_WAITED) as race:
        requests = [race.start(day.request, day.open_asset("BTC")), race.start(night.request, night.open_asset("ETH"))]

    assert [request.value.created for request in requests] == [True, True]
    assert stack.rows.count("managed_proposals") == 2
