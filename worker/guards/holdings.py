"""What a list of baseline holdings must look like before anybody acts on it. Source: contract §6."""

import re
from collections.abc import Sequence
from decimal import Decimal

from worker.contracts.canonical_json import MAX_SIGNIFICANT_DIGITS

_ASSET = re.compile(r"[A-Z0-9]{2,32}")

MAX_HOLDINGS = 500
"""More assets than the exchange lists against one quote currency."""

MAX_FRACTION_DIGITS = 30
"""As many as a quantity in a file of the home has room for."""


def holdings_problems(holdings: Sequence[tuple[object, object]]) -> tuple[str, ...]:
    """Every problem of `(asset, quantity)` pairs: none or too many, ill-formed or repeated assets, bad quantities."""
    if not 1 <= len(holdings) <= MAX_HOLDINGS:
        return (f"expected 1 to {MAX_HOLDINGS} holdings, found {len(holdings)}",)
    problems: list[str] = []
    seen: set[str] = set()
    for asset, quantity in holdings:
        shown = repr(asset)[:40]
        if not isinstance(asset, str) or not _ASSET.fullmatch(asset):
            problems.append(f"asset {shown} must be 2 to 32 capital letters or digits")
        elif asset in seen:
            problems.append(f"asset {asset} stands twice")
        else:
            seen.add(asset)
        problem = _quantity_problem(quantity)
        if problem is not None:
            problems.append(f"asset {shown}: {problem}")
    return tuple(problems)


def _quantity_problem(quantity: object) -> str | None:
    if isinstance(quantity, bool) or not isinstance(quantity, (Decimal, int)):
        return f"quantity must be a decimal, found a {type(quantity).__name__}"
    number = Decimal(quantity)
    if not number.is_finite() or number <= 0:
        return "quantity must be finite and above zero"
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > MAX_SIGNIFICANT_DIGITS or not -18 <= number.adjusted() <= 18:
        return f"quantity must have at most {MAX_SIGNIFICANT_DIGITS} significant digits and lie within 1e±18"
    if len(digits) - 1 - number.adjusted() > MAX_FRACTION_DIGITS:
        return f"quantity must have at most {MAX_FRACTION_DIGITS} digits after the point"
    return None
