"""Amounts of USDT as they are recorded."""

from decimal import Decimal

from worker.contracts.errors import Reason, Refusal

STEP = Decimal("0.00000001")
"""Eight places, as the exchange keeps balances."""

MAX_DIGITS = 30
"""What a document has room for before the point."""


def usdt(amount: Decimal, *, rounding: str) -> Decimal:
    """`amount` in eight places, rounded as told.

    Raises: `Refusal` (`validation/value_out_of_range`) for an amount no document has room for.
    """
    if amount.adjusted() >= MAX_DIGITS:
        raise Refusal(
            Reason.VALUE_OUT_OF_RANGE,
            f"an amount of 10^{amount.adjusted()} USDT has more than {MAX_DIGITS} digits; correct the baseline's "
            "quantities or the profile",
        )
    return amount.quantize(STEP, rounding=rounding)
