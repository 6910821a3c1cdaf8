"""A home that came back from a backup older than the database: a decided proposal stands open again in its files.

Asked in review: the disk was replaced and the home restored from the morning; ETH has stood in `risk_proposed` since,
and nobody could decide it or request it anew; who was to end that?
Must hold: the decided row is never written again, and no decision is taken from it; once the proposal's time is over,
as its file has it, the worker freezes the asset, the trail says why, and the asset can be requested again.
"""

import json
import signal

import pytest

from sim.story import CreatedCommand, ProposalView, Stack, minutes, seconds, wait_until
from worker.contracts.errors import Refusal
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

OPEN_FOR = minutes(15)
PROPOSED = ["frozen", "proposal_pending", "risk_proposed"]
WAYS = {"approve": ["approved", "managed_active"], "reject": ["rejected", "frozen"]}
PAIR = ("baseline_holdings.json", "managed_state.json")


def decided(stack: Stack, decide: str) -> tuple[ProposalView, CreatedCommand, dict[str, bytes]]:
    """A proposal, the command that decided it, and both files as they were before."""
    proposal = stack.given.risk_proposed("ETH")
    backup = files_of(stack)
    day = stack.operator("day")
    clicks = {
        "approve": lambda: day.approve(proposal, "balanced"),
        "reject": lambda: day.reject(proposal, reason="too wide"),
    }
    command = clicks[decide]()
    stack.worker.run_once()
    return proposal, command, backup


def files_of(stack: Stack) -> dict[str, bytes]:
    """A backup of both files."""
    return {name: (stack.home / "state" / name).read_bytes() for name in PAIR}


def put_back(stack: Stack, backup: dict[str, bytes]) -> None:
    """Effects: both files are those of the backup."""
    for name, content in backup.items():
        (stack.home / "state" / name).write_bytes(content)


def told(stack: Stack, event_type: str) -> list[str]:
    """What the events of that type say that belong to no command."""
    rows = stack.rows.query(
        "SELECT metadata FROM audit_events WHERE event_type = %s AND command_id IS NULL ORDER BY id", event_type
    )
    return [json.dumps(row["metadata"]) for row in rows]


@pytest.mark.parametrize("decide", WAYS)
def test_proposal_that_a_backup_opens_again_expires_in_the_files_and_keeps_its_decision(
    stack: Stack, decide: str
) -> None:
    # 09:00  ETH is proposed for, and decided; then the home comes back as it was before.
    proposal, command, backup = decided(stack, decide)
    row = stack.proposal(proposal)
    put_back(stack, backup)

    # 09:14:59  Nobody can decide it again, and no worker moves it before its time.
    stack.clock.advance(OPEN_FOR - seconds(1))
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert (stack.asset("ETH").state, stack.proposal(proposal)) == (ManagedState.RISK_PROPOSED, row)
    assert stack.path_of("ETH")[-1] == "risk_proposed"
    with pytest.raises(Refusal):
        stack.operator("night").request("ETH")
    with pytest.raises(Refusal):
        stack.operator("night").reject(proposal, reason="too late")

    # 09:15  Its time is over.
    stack.clock.advance(seconds(1))
    ended = stack.worker.run_once()

    assert (ended.exit_code, stack.asset("ETH").state) == (0, ManagedState.FROZEN)
    assert stack.proposal(proposal) == row
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.path_of("ETH") == [*PROPOSED, *WAYS[decide], "risk_proposed", "expired", "frozen"]
    (drift,) = told(stack, "managed.cache_drift_detected")
    (expiry,) = told(stack, "managed.reopened_proposal_expired")
    assert ("managed_assets_history.state_to" in drift, str(proposal.proposal_id) in expiry) == (True, True)

    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED


def test_proposal_that_expired_and_that_a_backup_opens_again_expires_there_and_its_row_stays(stack: Stack) -> None:
    # 09:00  ETH is proposed for, and the home is backed up.  09:15  Nobody has decided; then the backup comes back.
    proposal = stack.given.risk_proposed("ETH")
    backup = files_of(stack)
    stack.clock.advance(OPEN_FOR)
    stack.worker.run_once()
    row = stack.proposal(proposal)
    assert (row.state, stack.asset("ETH").state) == (ManagedState.EXPIRED, ManagedState.FROZEN)
    put_back(stack, backup)
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

    # The next worker ends it at once: its time has been over all along, and once was enough for its row.
    ended = stack.worker.run_once()

    assert (ended.exit_code, stack.asset("ETH").state) == (0, ManagedState.FROZEN)
    assert stack.proposal(proposal) == row
    assert stack.path_of("ETH") == [*PROPOSED, "expired", "frozen", "risk_proposed", "expired", "frozen"]
    assert len(told(stack, "managed.proposal_expired")) == 1
    assert len(told(stack, "managed.reopened_proposal_expired")) == 1

    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED


def test_worker_in_its_loop_notices_the_backup_that_is_put_back_under_it(stack: Stack) -> None:
    proposal, _, backup = decided(stack, "reject")
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    put_back(stack, backup)

    stack.clock.advance(OPEN_FOR)

    # A click wakes it. It runs that, finds nothing else, and sees that these are not the files it knows.
    stack.operator("day").apply_profile(stack.given.profile(name="other"))
    wait_until(lambda: stack.asset("ETH").state is ManagedState.FROZEN, "ETH frozen again")
    stack.worker.wait_until_idle(worker)
    worker.send(signal.SIGTERM)

    assert worker.wait().exit_code == 0
    assert (stack.asset("ETH").state, stack.proposal(proposal).decision) == (ManagedState.FROZEN, "rejected")
