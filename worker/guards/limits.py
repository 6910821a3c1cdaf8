"""What a configuration profile may say: closed lists of keys and values, ranges, rules between fields.

Each check returns every problem it finds, as sentences, so that one refusal tells all. A value that one check cannot
read is that check's problem and is left out by the later ones. Source: contract §6.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from worker.contracts.canonical_json import MAX_SIGNIFICANT_DIGITS, kind_of
from worker.contracts.errors import Reason, Refusal

CONFIG_VALUES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("debug", "info", "warning", "error"),
    "decision_log_verbosity": ("minimal", "normal", "full"),
}
"""The only configuration keys, both required, and their only values."""

SHARE_KEYS = (
    "max_risk_per_trade_pct",
    "max_total_exposure_pct",
    "daily_loss_limit_pct",
    "weekly_loss_limit_pct",
    "tier_low_allocation_pct",
    "tier_mid_allocation_pct",
    "tier_high_allocation_pct",
    "cash_reserve_pct",
    "fee_buffer_pct",
)
"""Risk keys that hold a share of the whole: in (0, 1]."""

RISK_KEYS = frozenset({*SHARE_KEYS, "max_open_positions", "min_position_value_usdt"})
"""The only risk keys, all eleven required."""

MIN_OPEN_POSITIONS = 1
MAX_OPEN_POSITIONS = 50
MIN_POSITION_VALUE_USDT = Decimal(5)
"""The exchange's own smallest order value (its NOTIONAL filter)."""

MAX_MAGNITUDE = 300
"""The largest power of ten, either way, that canonical JSON can print; also bounds the arithmetic below."""

MAX_NAMED = 20
"""How many problems one message names; a hostile profile may have thousands."""


def config_problems(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Unknown and missing configuration keys, and values outside each key's closed list."""
    problems = _key_problems(config, frozenset(CONFIG_VALUES), "config")
    for key, allowed in CONFIG_VALUES.items():
        if key in config and not (isinstance(config[key], str) and config[key] in allowed):
            problems.append(f"config {key} must be one of {', '.join(allowed)}, found {_kind(config[key])}")
    return tuple(problems)


def risk_key_problems(risk: Mapping[str, Any]) -> tuple[str, ...]:
    """Unknown and missing risk keys."""
    return tuple(_key_problems(risk, RISK_KEYS, "risk"))


def range_problems(risk: Mapping[str, Any]) -> tuple[str, ...]:
    """Risk values of the wrong type or out of range; missing keys are `risk_key_problems`' to name."""
    problems = []
    for key in sorted(RISK_KEYS & risk.keys()):
        number = _number(risk[key])
        if number is None:
            problems.append(
                f"risk {key} must be a finite decimal of at most {MAX_SIGNIFICANT_DIGITS} digits, "
                f"found {_kind(risk[key])}"
            )
        else:
            problems += _out_of_range(key, number)
    return tuple(problems)


def cross_field_problems(risk: Mapping[str, Any]) -> tuple[str, ...]:
    """Broken rules between risk values; a rule with a missing or unreadable side is left to the earlier checks."""
    numbers = {key: number for key in RISK_KEYS & risk.keys() if (number := _number(risk[key])) is not None}
    problems = []
    for lesser, greater, strict in _ORDER_RULES:
        if lesser not in numbers or greater not in numbers:
            continue
        holds = numbers[lesser] < numbers[greater] if strict else numbers[lesser] <= numbers[greater]
        if not holds:
            relation = "below" if strict else "at most"
            found = f"{_digits(numbers[lesser])} and {_digits(numbers[greater])}"
            problems.append(f"risk {lesser} must be {relation} {greater}, found {found}")
    exposure, reserve = numbers.get("max_total_exposure_pct"), numbers.get("cash_reserve_pct")
    # Fractions, because a Decimal sum rounds: 1 plus the smallest share would come out as 1.
    if exposure is not None and reserve is not None and Fraction(exposure) + Fraction(reserve) > 1:
        problems.append(
            "risk max_total_exposure_pct and cash_reserve_pct must add up to at most 1, "
            f"found {_digits(exposure)} and {_digits(reserve)}"
        )
    return tuple(problems)


def refuse(reason: Reason, problems: tuple[str, ...], *, subject: str) -> None:
    """Nothing when there are no problems.

    Raises: `Refusal` with `reason`, naming `subject` and up to twenty of the problems.
    """
    if problems:
        rest = f"; and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise Refusal(reason, f"{subject} has {len(problems)} problem(s): {'; '.join(problems[:MAX_NAMED])}{rest}")


_ORDER_RULES = (
    ("tier_low_allocation_pct", "tier_mid_allocation_pct", True),
    ("tier_mid_allocation_pct", "tier_high_allocation_pct", True),
    ("daily_loss_limit_pct", "weekly_loss_limit_pct", False),
    ("max_risk_per_trade_pct", "daily_loss_limit_pct", False),
    ("tier_high_allocation_pct", "max_total_exposure_pct", False),
)
"""Lesser key, greater key, whether equality is refused."""


def _key_problems(found: Mapping[str, Any], allowed: frozenset[str], what: str) -> list[str]:
    # A key nobody knows may be anything, a pasted secret included, so it is counted and not shown.
    unknown = len(found.keys() - allowed)
    problems = [f"{unknown} unknown {what} key(s); allowed are {', '.join(sorted(allowed))}"] if unknown else []
    return problems + [f"{what} {key} is missing" for key in sorted(allowed - found.keys())]


def _number(value: Any) -> Decimal | None:
    """`value` as a finite decimal of at most 15 significant digits, or None; floats and booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        return None
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    return number if len(digits) <= MAX_SIGNIFICANT_DIGITS else None


def _out_of_range(key: str, number: Decimal) -> list[str]:
    if key == "max_open_positions":
        whole = number == number.to_integral_value()
        if not (whole and MIN_OPEN_POSITIONS <= number <= MAX_OPEN_POSITIONS):
            return [
                f"risk {key} must be a whole number from {MIN_OPEN_POSITIONS} to {MAX_OPEN_POSITIONS}, "
                f"found {_digits(number)}"
            ]
    elif key == "min_position_value_usdt":
        if number < MIN_POSITION_VALUE_USDT:
            return [f"risk {key} must be at least {MIN_POSITION_VALUE_USDT}, found {_digits(number)}"]
    elif not 0 < number <= 1:
        return [f"risk {key} must be above 0 and at most 1, found {_digits(number)}"]
    return []


def _digits(number: Decimal) -> str:
    # Scientific form keeps a number such as 1E+300 short.
    return str(number.normalize())


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    return kind_of(value)
