"""A holding so small that a file has no room for its digits.

Asked in review: a quantity passed every check and then could not be written; did the bus end on it three times?
Must hold: what the files cannot hold is refused with its reason before anything is touched, by the service and by the
handler; the smallest quantity that fits is written exactly.
"""

from decimal import Decimal

import pytest

from sim.story import Stack
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus

FITS = "1.234567890123E-18"
"""Thirty digits after the point, as many as a file has room for."""

TOO_FINE = "1.2345678901234E-18"


def _payload(quantity: str) -> dict[str, object]:
    return {
        "requested_by": 23,
        "dry_run": True,
        "environment": "testnet",
        "exchange_connection_id": None,
        "holdings": [{"asset": "BTC", "quantity": Decimal(quantity)}],
    }


def test_quantity_with_more_digits_than_a_file_holds_is_refused_by_the_handler(stack: Stack) -> None:
    stack.expects(Reason.HOLDINGS_MALFORMED)
    command = stack.bus.put_unchecked(CommandType.APPLY_BASELINE_HOLDINGS, "baseline", _payload(TOO_FINE))

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.HOLDINGS_MALFORMED)
    assert refused.attempts == 1


def test_quantity_with_more_digits_than_a_file_holds_is_refused_by_the_service(stack: Stack) -> None:
    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_baseline({"BTC": TOO_FINE})

    assert refused.value.reason is Reason.HOLDINGS_MALFORMED
    assert stack.rows.count("commands") == 0


def test_quantity_with_all_the_digits_a_file_holds_is_applied_exactly(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": FITS})

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.scalar("SELECT quantity FROM baseline_holdings WHERE asset = 'BTC'") == Decimal(FITS)
    assert f'"{Decimal(FITS):f}"' in (stack.home / "state" / "baseline_holdings.json").read_text()
