"""The closed lists, ranges and cross-field rules of a profile; each refusal beside its accepted twin."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contracts.errors import Reason, Refusal
from worker.guards.limits import (
    CONFIG_VALUES,
    RISK_KEYS,
    SHARE_KEYS,
    config_problems,
    cross_field_problems,
    range_problems,
    refuse,
    risk_key_problems,
)

CONFIG = {"log_level": "info", "decision_log_verbosity": "full"}
RISK: dict[str, Any] = {
    "max_risk_per_trade_pct": Decimal("0.005"),
    "max_total_exposure_pct": Decimal("0.20"),
    "max_open_positions": 4,
    "daily_loss_limit_pct": Decimal("0.02"),
    "weekly_loss_limit_pct": Decimal("0.05"),
    "tier_low_allocation_pct": Decimal("0.01"),
    "tier_mid_allocation_pct": Decimal("0.03"),
    "tier_high_allocation_pct": Decimal("0.05"),
    "cash_reserve_pct": Decimal("0.10"),
    "fee_buffer_pct": Decimal("0.002"),
    "min_position_value_usdt": 10,
}
TINY = Decimal("0.000000000000001")


def test_reference_profile_has_no_problem() -> None:
    assert config_problems(CONFIG) == ()
    assert risk_key_problems(RISK) == range_problems(RISK) == cross_field_problems(RISK) == ()


def test_closed_lists_are_those_of_the_contract() -> None:
    assert {key: set(values) for key, values in CONFIG_VALUES.items()} == {
        "log_level": {"debug", "info", "warning", "error"},
        "decision_log_verbosity": {"minimal", "normal", "full"},
    }
    assert set(RISK) == RISK_KEYS
    assert len(RISK_KEYS) == 11
    assert set(SHARE_KEYS) == {key for key in RISK_KEYS if key.endswith("_pct")}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in CONFIG_VALUES.items() for value in values])
def test_every_listed_config_value_is_accepted(key: str, value: str) -> None:
    assert config_problems({**CONFIG, key: value}) == ()


@pytest.mark.parametrize("key", CONFIG_VALUES)
@pytest.mark.parametrize("value", ["", "INFO", "Full", "trace", " info", "full ", None, 1, True, ["info"]], ids=repr)
def test_any_other_config_value_is_a_problem(key: str, value: object) -> None:
    assert len(config_problems({**CONFIG, key: value})) == 1


@pytest.mark.parametrize("key", CONFIG)
def test_missing_config_key_is_a_problem(key: str) -> None:
    problems = config_problems({name: value for name, value in CONFIG.items() if name != key})
    assert problems == (f"config {key} is missing",)


@pytest.mark.parametrize("key", ["Log_level", "base_url", "binance_testnet", ""])
def test_unknown_config_key_is_a_problem_and_is_not_shown(key: str) -> None:
    problems = config_problems({**CONFIG, key: "hunter2"})
    assert problems == ("1 unknown config key(s); allowed are decision_log_verbosity, log_level",)


def test_all_config_problems_are_told_at_once() -> None:
    assert len(config_problems({"log_level": "loud", "a": 1, "b": 2})) == 3


@pytest.mark.parametrize("key", sorted(RISK_KEYS))
def test_missing_risk_key_is_a_problem(key: str) -> None:
    problems = risk_key_problems({name: value for name, value in RISK.items() if name != key})
    assert problems == (f"risk {key} is missing",)


def test_unknown_risk_key_is_a_problem() -> None:
    problems = risk_key_problems({**RISK, "leverage": 3})
    assert problems == (f"1 unknown risk key(s); allowed are {', '.join(sorted(RISK))}",)


def test_unknown_and_missing_risk_keys_are_told_at_once() -> None:
    assert len(risk_key_problems({"leverage": 3})) == 1 + len(RISK_KEYS)


@pytest.mark.parametrize("key", SHARE_KEYS)
@pytest.mark.parametrize("value", [TINY, Decimal("0.5"), Decimal("1"), 1, Decimal("1.000")], ids=repr)
def test_share_above_zero_and_up_to_one_is_in_range(key: str, value: Any) -> None:
    assert range_problems({**RISK, key: value}) == ()


@pytest.mark.parametrize("key", SHARE_KEYS)
@pytest.mark.parametrize("value", [0, Decimal("0"), -TINY, Decimal("1.00000000000001"), 2, -1], ids=repr)
def test_share_at_zero_or_above_one_is_out_of_range(key: str, value: Any) -> None:
    (problem,) = range_problems({**RISK, key: value})
    assert problem.startswith(f"risk {key} must be above 0 and at most 1, found ")


@pytest.mark.parametrize("value", [1, 2, 50, Decimal("1"), Decimal("50"), Decimal("4.0"), Decimal("5E+1")], ids=repr)
def test_whole_number_of_positions_from_one_to_fifty_is_in_range(value: Any) -> None:
    assert range_problems({**RISK, "max_open_positions": value}) == ()


@pytest.mark.parametrize("value", [0, -1, 51, Decimal("0.5"), Decimal("4.5"), Decimal("50.1"), Decimal("0")], ids=repr)
def test_any_other_number_of_positions_is_out_of_range(value: Any) -> None:
    (problem,) = range_problems({**RISK, "max_open_positions": value})
    assert problem.startswith("risk max_open_positions must be a whole number from 1 to 50, found ")


@pytest.mark.parametrize("value", [5, Decimal("5.00"), Decimal("5.00000000000001"), Decimal("1E+14")], ids=repr)
def test_smallest_position_value_from_five_up_is_in_range(value: Any) -> None:
    assert range_problems({**RISK, "min_position_value_usdt": value}) == ()


@pytest.mark.parametrize("value", [4, Decimal("4.99999999999999"), 0, -5], ids=repr)
def test_smallest_position_value_below_five_is_out_of_range(value: Any) -> None:
    (problem,) = range_problems({**RISK, "min_position_value_usdt": value})
    assert problem.startswith("risk min_position_value_usdt must be at least 5, found ")


@pytest.mark.parametrize("key", sorted(RISK_KEYS))
@pytest.mark.parametrize(
    "value",
    [
        0.5,
        "0.5",
        None,
        True,
        [Decimal("0.5")],
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("0.1234567890123456"),
        Decimal("1E-301"),
        Decimal("1E+999999"),
    ],
    ids=repr,
)
def test_value_that_is_no_exact_decimal_is_a_problem(key: str, value: Any) -> None:
    (problem,) = range_problems({**RISK, key: value})
    assert problem.startswith(f"risk {key} must be a finite decimal of at most 15 digits, found ")


def test_zeros_around_fifteen_digits_do_not_count() -> None:
    assert range_problems({**RISK, "cash_reserve_pct": Decimal("0.1234567890123450000")}) == ()


def test_all_range_problems_are_told_at_once() -> None:
    assert len(range_problems(dict.fromkeys(RISK_KEYS, 0))) == len(RISK_KEYS)


CROSS_FIELD = [
    ("tier_low_allocation_pct", "tier_mid_allocation_pct", Decimal("0.03"), True),
    ("tier_mid_allocation_pct", "tier_high_allocation_pct", Decimal("0.05"), True),
    ("daily_loss_limit_pct", "weekly_loss_limit_pct", Decimal("0.05"), False),
    ("max_risk_per_trade_pct", "daily_loss_limit_pct", Decimal("0.02"), False),
    ("tier_high_allocation_pct", "max_total_exposure_pct", Decimal("0.20"), False),
]


@pytest.mark.parametrize(("lesser", "_greater", "bound", "strict"), CROSS_FIELD, ids=[case[0] for case in CROSS_FIELD])
def test_lesser_value_is_judged_at_its_bound(lesser: str, _greater: str, bound: Decimal, strict: bool) -> None:
    below, at, above = (cross_field_problems({**RISK, lesser: bound + step}) for step in (-TINY, Decimal(0), TINY))
    assert (len(below), len(at), len(above)) == (0, int(strict), 1)


@pytest.mark.parametrize(
    ("exposure", "reserve", "count"),
    [
        (Decimal("0.9"), Decimal("0.1"), 0),
        (Decimal("0.9"), Decimal("0.1") + TINY, 1),
        (Decimal("1"), TINY, 1),
        (Decimal("1"), Decimal("1E-300"), 1),
        (Decimal("0.9"), Decimal("0.1") - TINY, 0),
    ],
    ids=repr,
)
def test_exposure_and_reserve_add_up_to_at_most_one(exposure: Decimal, reserve: Decimal, count: int) -> None:
    risk = {**RISK, "max_total_exposure_pct": exposure, "cash_reserve_pct": reserve}
    assert len(cross_field_problems(risk)) == count


def test_all_cross_field_problems_are_told_at_once() -> None:
    reversed_order = {
        **RISK,
        "tier_low_allocation_pct": Decimal("0.9"),
        "tier_mid_allocation_pct": Decimal("0.8"),
        "tier_high_allocation_pct": Decimal("0.7"),
        "max_risk_per_trade_pct": Decimal("0.9"),
        "daily_loss_limit_pct": Decimal("0.6"),
        "max_total_exposure_pct": Decimal("0.5"),
        "cash_reserve_pct": Decimal("0.6"),
    }
    assert len(cross_field_problems(reversed_order)) == 6


@given(st.dictionaries(st.sampled_from(sorted(RISK_KEYS)), st.from_type(object) | st.decimals() | st.integers()))
def test_checks_survive_any_value_under_any_key(risk: dict[str, Any]) -> None:
    assert len(range_problems(risk)) <= len(risk)
    assert len(risk_key_problems(risk)) == len(RISK_KEYS) - len(risk)
    assert len(cross_field_problems(risk)) <= 6


def test_refuse_without_problems_lets_pass() -> None:
    refuse(Reason.RISK_NOT_ALLOWED, (), subject="profile x")


def test_refuse_with_problems_names_subject_and_at_most_twenty() -> None:
    with pytest.raises(Refusal) as refusal:
        refuse(Reason.RISK_NOT_ALLOWED, tuple(f"problem-{n:02}" for n in range(30)), subject="profile x")
    assert refusal.value.reason is Reason.RISK_NOT_ALLOWED
    assert "profile x" in refusal.value.message
    assert "problem-19" in refusal.value.message
    assert "problem-20" not in refusal.value.message
