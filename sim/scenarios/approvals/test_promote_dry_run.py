"""The dry run of a promotion: it looks and says, and changes nothing.

Asked in review: somebody tried out a promotion on the live machine; did anything move?
Must hold: a dry run leaves exactly four log rows and no change of any file or managed row, whether it is refused or
not; what it says is judged by the proposal's file.
"""

from uuid import UUID

import pytest

from sim.story import Stack, managed_payload, minutes
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ProposalNotFound
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.needs_handlers("managed")

PROMOTE = CommandType.DRY_RUN_PROMOTE_MANAGED
NOBODYS = UUID("00000000-0000-4000-8000-000000000001")
MANAGED_ROWS = ("managed_proposals", "managed_assets_history", "baseline_holdings")


def _log(ending: str) -> list[str]:
    return ["started", f"{PROMOTE.value}.dry_run_started", f"{PROMOTE.value}.{ending}", "result_written"]


def test_promotion_of_a_decided_proposal_is_looked_at_and_nothing_moves(stack: Stack) -> None:
    proposal = stack.given.managed_active("ETH")
    rows = [stack.rows.dump(table) for table in MANAGED_ROWS]
    looked_at = stack.operator("day").promote_dry_run("ETH", proposal, "aggressive")

    with stack.witness.no_mutation():
        stack.worker.run_once()

    result = stack.command(looked_at).result
    assert result is not None
    assert (result["validated"], result["would_apply"], result["variant"]) == (True, False, "aggressive")
    assert stack.log_of(looked_at) == _log("dry_run_succeeded")
    assert [stack.rows.dump(table) for table in MANAGED_ROWS] == rows


def test_promotion_of_what_is_not_there_is_refused_twice(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_NOT_FOUND, Reason.VARIANT_UNKNOWN)
    proposal = stack.given.risk_proposed("ETH")
    day, before = stack.operator("day"), stack.measure()

    # The page is told so.
    for asset, promoted in (("ETH", NOBODYS), ("BTC", proposal)):
        with pytest.raises(ProposalNotFound):
            day.promote_dry_run(asset, promoted, "balanced")
    with pytest.raises(Refusal) as refused:
        day.promote_dry_run("ETH", proposal, "bold")
    assert refused.value.reason is Reason.VARIANT_UNKNOWN
    assert stack.measure() == before

    # Past the service the worker says the same, in four rows each.
    rows = [stack.rows.dump(table) for table in MANAGED_ROWS]
    commands = [
        stack.bus.put_unchecked(PROMOTE, "ETH", managed_payload(PROMOTE, "ETH", NOBODYS)),
        stack.bus.put_unchecked(PROMOTE, "BTC", managed_payload(PROMOTE, "BTC", proposal)),
        stack.bus.put_unchecked(PROMOTE, "ETH", managed_payload(PROMOTE, "ETH", proposal, variant="bold")),
    ]
    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))
    assert [stack.command(one).reason for one in commands] == [
        *[Reason.PROPOSAL_NOT_FOUND] * 2,
        Reason.VARIANT_UNKNOWN,
    ]
    assert [stack.log_of(one) for one in commands] == [_log("dry_run_rejected")] * len(commands)
    assert [stack.rows.dump(table) for table in MANAGED_ROWS] == rows


def test_dry_run_that_waited_five_minutes_never_runs(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    waited = stack.operator("day").promote_dry_run("ETH", proposal, "balanced")
    stack.clock.advance(minutes(5))

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(waited).status is CommandStatus.EXPIRED
