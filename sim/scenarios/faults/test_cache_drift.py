"""Cached rows that somebody changed or lost: the files decide, and the next worker puts the rows right (R10).

Asked in review: someone had edited the tables by hand; did the worker believe them, and does the trail say so?
Must hold: a worker that starts puts right what it finds; what is spoiled under its hands is as the files say after the
asset's next command; one event names each difference, and where nothing differs there is none.
"""

import json
from collections.abc import Callable

import pytest

from sim.story import CreatedCommand, ProposalView, Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

DRIFT = "managed.cache_drift_detected"


def drift_of(stack: Stack, command: CreatedCommand) -> list[str]:
    """Each difference that the command's drift events tell of; they are one event at most."""
    rows = stack.rows.query(
        "SELECT metadata FROM audit_events WHERE command_id = %s AND event_type = %s ORDER BY id",
        command.command_id,
        DRIFT,
    )
    assert len(rows) <= 1
    return [difference for row in rows for difference in row["metadata"]["differences"]]


def run_while(stack: Stack, spoil: Callable[[], None]) -> None:
    """Effects: a worker has looked at the rows as it starts and is about to claim; they are spoiled; it goes on."""
    with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        spoil()
    worker.wait()


def cached(stack: Stack) -> tuple[str, bool]:
    """Quantity and frozen of ETH in the cache."""
    (row,) = stack.rows.query("SELECT quantity::text, frozen FROM baseline_holdings WHERE asset = 'ETH'")
    return row["quantity"], row["frozen"]


def drifts(stack: Stack) -> list[str]:
    """What each drift event says, whoever's it is, oldest first."""
    rows = stack.rows.query("SELECT metadata FROM audit_events WHERE event_type = %s ORDER BY id", DRIFT)
    return [json.dumps(row["metadata"]) for row in rows]


SPOILED: dict[str, tuple[Callable[[Stack, ProposalView], None], str]] = {
    "holding changed": (
        lambda stack, _: stack.cache.change_holding("ETH", quantity="7", frozen=True),
        "baseline_holdings.quantity: 2 in the file, 7 in the row",
    ),
    "holding lost": (lambda stack, _: stack.cache.lose_holding("ETH"), "baseline_holdings: no row"),
    "approved row said open": (
        lambda stack, proposal: stack.cache.change_proposal(
            proposal, state="risk_proposed", decision=None, decided_at=None
        ),
        "managed_proposals.state: approved in the file, risk_proposed in the row",
    ),
    "approved row lost": (lambda stack, proposal: stack.cache.lose_proposal(proposal), "managed_proposals: no row"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_row_of_a_managed_asset_is_put_right_by_its_next_command_and_told_once(stack: Stack, spoiled: str) -> None:
    proposal = stack.given.managed_active("ETH")
    spoil, told = SPOILED[spoiled]
    command = stack.operator("day").pause("ETH")
    run_while(stack, lambda: spoil(stack, proposal))

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert told in drift_of(stack, command)
    put_right = stack.proposal(proposal)
    assert (put_right.state, put_right.decision, put_right.document) == (
        ManagedState.APPROVED,
        "approved",
        proposal.document,
    )
    assert cached(stack) == ("2", False)

    # The next command finds nothing to say.
    again = stack.operator("day").resume("ETH")
    stack.worker.run_once()
    assert (stack.command(again).status, drift_of(stack, again)) == (CommandStatus.SUCCEEDED, [])


def test_history_that_was_lost_says_again_where_the_asset_stands(stack: Stack) -> None:
    stack.given.managed_active("ETH")
    command = stack.operator("day").pause("ETH")

    run_while(stack, lambda: stack.cache.lose_history("ETH"))

    assert drift_of(stack, command) == [
        "managed_assets_history.state_to: managed_active in the file, frozen in the row"
    ]
    assert stack.path_of("ETH") == ["None", "managed_active", "paused"]


REST: dict[str, tuple[Callable[[Stack], None], str]] = {
    "holding changed": (lambda stack: stack.cache.change_holding("ETH", quantity="7"), "baseline_holdings.quantity"),
    "holding lost": (lambda stack: stack.cache.lose_holding("ETH"), "baseline_holdings: no row"),
    "history lost": (lambda stack: stack.cache.lose_history("ETH"), "managed_assets_history.state_to"),
}


@pytest.mark.parametrize("spoiled", REST)
def test_rows_of_an_asset_at_rest_are_put_right_as_soon_as_a_worker_comes_by(stack: Stack, spoiled: str) -> None:
    # Nobody clicks, and perhaps nobody could: services go by these rows.
    stack.given.paused("ETH")
    spoil, told = REST[spoiled]
    spoil(stack)

    with stack.witness.no_mutation():
        stack.worker.run_once()
        stack.worker.run_once()

    assert (cached(stack), stack.path_of("ETH")[-1]) == (("2", False), "paused")
    (drift,) = drifts(stack)
    assert told in drift


DOCUMENT = "managed_proposals.proposal_json: not the file's document"
OPEN_ROWS: dict[str, tuple[Callable[[Stack, ProposalView], None], str]] = {
    "document changed": (
        lambda stack, proposal: stack.cache.change_proposal(
            proposal, proposal_json={**(proposal.document or {}), "intent": "Sell it all."}
        ),
        DOCUMENT,
    ),
    "row said pending": (
        lambda stack, proposal: stack.cache.change_proposal(proposal, state="proposal_pending"),
        "managed_proposals.state: risk_proposed in the file, proposal_pending in the row",
    ),
    "row said expired": (
        lambda stack, proposal: stack.cache.change_proposal(proposal, state="expired"),
        "managed_proposals.state: risk_proposed in the file, expired in the row",
    ),
    "row lost": (lambda stack, proposal: stack.cache.lose_proposal(proposal), "managed_proposals: no row"),
}


@pytest.mark.parametrize("spoiled", OPEN_ROWS)
def test_row_of_an_open_proposal_is_put_right_as_soon_as_a_worker_comes_by(stack: Stack, spoiled: str) -> None:
    # The worker compares the open proposals with their files once, before its first claim: no command is needed.
    proposal = stack.given.risk_proposed("ETH")
    spoil, told = OPEN_ROWS[spoiled]
    spoil(stack, proposal)

    with stack.witness.no_mutation():
        stack.worker.run_once()
        stack.worker.run_once()

    put_right = stack.proposal(proposal)
    assert (put_right.state, put_right.document) == (ManagedState.RISK_PROPOSED, proposal.document)
    (drift,) = drifts(stack)
    assert told in drift


def test_row_changed_between_claim_and_run_is_no_basis_for_the_decision(stack: Stack) -> None:
    # The worker is already at the approval when the row's document is made to say something else.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced")
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        stack.cache.change_proposal(proposal, proposal_json={"asset": "ETH", "variants": []})
    worker.wait()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert drift_of(stack, command) == [DOCUMENT]
    assert stack.proposal(proposal).document == proposal.document


def test_refused_command_puts_the_rows_right_too(stack: Stack) -> None:
    # Paused twice, from two pages: the second one comes to nothing, and still it saw what was wrong.
    stack.expects(Reason.ILLEGAL_TRANSITION)
    stack.given.managed_active("ETH")
    stack.operator("day").pause("ETH")
    second = stack.operator("night").pause("ETH")
    stack.worker.run_once()

    run_while(stack, lambda: stack.cache.change_holding("ETH", quantity="7"))

    assert stack.command(second).reason == Reason.ILLEGAL_TRANSITION
    assert drift_of(stack, second) == ["baseline_holdings.quantity: 2 in the file, 7 in the row"]
    assert cached(stack) == ("2", False)


def test_rows_of_another_asset_are_left_to_that_assets_own_command(stack: Stack) -> None:
    stack.given.managed_active("ETH")
    of_eth, of_btc = stack.operator("day").pause("ETH"), stack.operator("day").request("BTC")
    run_while(stack, lambda: stack.cache.change_holding("BTC", quantity="7"))
    assert (stack.command(of_eth).status, drift_of(stack, of_eth)) == (CommandStatus.SUCCEEDED, [])
    assert stack.rows.scalar("SELECT quantity::text FROM baseline_holdings WHERE asset = 'BTC'") == "7"

    # Its own command finds them as they were left, or the next worker does at its start.
    stack.worker.run_once()
    assert (stack.command(of_btc).status, len(drifts(stack))) == (CommandStatus.SUCCEEDED, 1)
    assert "baseline_holdings.quantity: 0.5 in the file, 7 in the row" in drifts(stack)[0]
    assert stack.rows.scalar("SELECT quantity::text FROM baseline_holdings WHERE asset = 'BTC'") == "0.5"
