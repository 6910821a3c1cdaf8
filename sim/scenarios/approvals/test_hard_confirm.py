"""What an operator must type to approve, and what is not quite it (R5).

Asked in review: the operator meant ETH and approved BTC's variant, or just pressed Enter; could that have gone through?
Must hold: only `<asset>:<variant>` letter by letter approves, for the service and again for the worker; the refusal
never repeats what was typed.
"""

import pytest

from sim.story import Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.managed_errors import HardConfirmMismatch
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

APPROVE = CommandType.APPROVE_MANAGED_PROPOSAL

MISTYPED = (
    "eth:balanced",
    "ETH:Balanced",
    "ETH:BALANCED",
    " ETH:balanced",
    "ETH:balanced ",
    "ETH: balanced",
    "ETH:balanced\n",
    "BTC:balanced",
    "ETH:aggressive",
    "ETH",
    "balanced",
    "ETH-balanced",
    "ETH\N{FULLWIDTH COLON}balanced",
    "\N{FULLWIDTH LATIN CAPITAL LETTER E}TH:balanced",
    "\N{CYRILLIC CAPITAL LETTER IE}TH:balanced",
    "ETH:balanced\N{ZERO WIDTH SPACE}",
)


def test_page_takes_nothing_but_the_exact_text(stack: Stack) -> None:
    page = stack.operator("day").open_proposal(stack.given.risk_proposed("ETH"))
    before = stack.measure()

    for typed in ("", *MISTYPED):
        with pytest.raises(HardConfirmMismatch) as refused:
            stack.operator("day").approve(page, "balanced", hard_confirm=typed)
        assert refused.value.expected == "ETH:balanced"
    assert stack.measure() == before

    # After all that the page still takes the right text.
    typed_well = stack.operator("day").approve(page, "balanced", hard_confirm="ETH:balanced")
    stack.worker.run_once()
    assert stack.command(typed_well).status is CommandStatus.SUCCEEDED


def test_worker_takes_nothing_but_the_exact_text(stack: Stack) -> None:
    # None of these went through a service: a page of another make, or a hand on the table.
    stack.expects(Reason.HARD_CONFIRM_MISMATCH)
    proposal = stack.given.risk_proposed("ETH")
    commands = {
        typed: stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal, hard_confirm=typed))
        for typed in MISTYPED
    }

    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))

    found = {typed: stack.command(command).reason for typed, command in commands.items()}
    assert found == dict.fromkeys(MISTYPED, Reason.HARD_CONFIRM_MISMATCH)
    typed_well = stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal))
    stack.worker.run_once()
    assert stack.command(typed_well).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE


def test_empty_confirmation_is_no_payload_to_the_worker(stack: Stack) -> None:
    stack.expects(Reason.SCHEMA_VIOLATION)
    proposal = stack.given.risk_proposed("ETH")
    empty = stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal, hard_confirm=""))

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(empty).reason is Reason.SCHEMA_VIOLATION


def test_variant_that_the_proposal_lacks_is_not_approved_by_confirming_it(stack: Stack) -> None:
    stack.expects(Reason.VARIANT_UNKNOWN)
    proposal = stack.given.risk_proposed("ETH")
    confirmed = {name: {"variant": name, "hard_confirm": f"ETH:{name}"} for name in ("bold", "Balanced", "balanced ")}
    unknown = {
        name: stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal, **told))
        for name, told in confirmed.items()
    }

    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(unknown))

    found = {name: stack.command(command).reason for name, command in unknown.items()}
    assert found == dict.fromkeys(unknown, Reason.VARIANT_UNKNOWN)
