"""What a refusal shows: the value or its kind, both sides of a disagreement, how many more, and on which line.

An operator corrects an input by what is told about it; a sentence that shows another value sends them elsewhere.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.worker.guards.test_limits import CONFIG, CROSS_FIELD, RISK
from worker.contracts.errors import Reason, Refusal
from worker.guards import network
from worker.guards.freshness import expiry_text, require_expiry_agreement
from worker.guards.holdings import holdings_problems
from worker.guards.limits import (
    CONFIG_VALUES,
    config_problems,
    cross_field_problems,
    range_problems,
    refuse,
    risk_key_problems,
)
from worker.guards.operator_words import require_words

INSTANT = datetime(2026, 5, 9, 9, 5, tzinfo=UTC)
TESTNET_FIELDS: dict[str, Any] = {"environment": "testnet", "dry_run": True, "exchange_connection_id": None}
KINDS: list[tuple[Any, str]] = [("loud", "4"), (5, "a number"), (["info"], "an array")]


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose own zone is ten hours from UTC."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "XXX-10")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    os.environ.update({} if before is None else {"TZ": before})
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_expiry_is_told_in_utc_on_a_host_of_any_zone() -> None:
    assert expiry_text(INSTANT) == "2026-05-09T09:05:00.000000Z"


@pytest.mark.parametrize(
    ("payload", "row", "told"),
    [
        ("2026-05-09T09:04:00Z", INSTANT, ["2026-05-09T09:05:00.000000Z", "2026-05-09T09:04:00.000000Z"]),
        (None, INSTANT, ["2026-05-09T09:05:00.000000Z", "no expiry"]),
        ("2026-05-09T09:04:00Z", None, ["no expiry", "2026-05-09T09:04:00.000000Z"]),
        ("soon", INSTANT, ["2026-05-09T09:05:00.000000Z"]),
    ],
)
def test_both_expiries_are_told_where_they_disagree(payload: object, row: datetime | None, told: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        require_expiry_agreement(payload, row)
    assert [one for one in told if one not in refused.value.message] == []


@pytest.mark.parametrize(("value", "shown"), KINDS, ids=repr)
def test_config_value_is_told_by_its_kind_beside_the_allowed_ones(value: Any, shown: str) -> None:
    (problem,) = config_problems({**CONFIG, "log_level": value})
    assert shown in problem
    assert [allowed for allowed in CONFIG_VALUES["log_level"] if allowed not in problem] == []


@pytest.mark.parametrize(("value", "shown"), [("loud", "4"), (0.5, "float"), (["info"], "an array")], ids=repr)
def test_risk_value_is_told_by_its_kind(value: Any, shown: str) -> None:
    (problem,) = range_problems({**RISK, "cash_reserve_pct": value})
    assert shown in problem.partition("found")[2]


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [("cash_reserve_pct", 2, "2"), ("max_open_positions", 51, "51"), ("min_position_value_usdt", 4, "found 4")],
)
def test_risk_value_out_of_range_is_told(key: str, value: int, shown: str) -> None:
    (problem,) = range_problems({**RISK, key: value})
    assert shown in problem


@pytest.mark.parametrize(("lesser", "greater", "bound", "strict"), CROSS_FIELD, ids=[case[0] for case in CROSS_FIELD])
def test_broken_order_is_told_with_both_values_and_the_bound(
    lesser: str, greater: str, bound: Decimal, strict: bool
) -> None:
    wrong = bound + Decimal("0.001")
    (problem,) = cross_field_problems({**RISK, lesser: wrong})
    assert f"{lesser} must be {'below' if strict else 'at most'} {greater}" in problem
    assert f"{wrong.normalize()} and {bound.normalize()}" in problem


def test_broken_sum_is_told_with_both_values() -> None:
    (problem,) = cross_field_problems({**RISK, "cash_reserve_pct": Decimal("0.90")})
    assert "0.2 and 0.9" in problem


def test_missing_value_hides_no_other_broken_rule() -> None:
    risk = {**RISK, "max_risk_per_trade_pct": Decimal("0.03")}
    del risk["tier_low_allocation_pct"]
    assert len(cross_field_problems(risk)) == 1


def test_unknown_keys_are_told_by_their_number() -> None:
    problem, *_ = risk_key_problems({**RISK, "leverage": 3, "margin": 1})
    assert problem.startswith("2 unknown")


@pytest.mark.parametrize(("count", "more"), [(20, None), (21, "1 more"), (30, "10 more")])
def test_problems_that_are_not_named_are_counted(count: int, more: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        refuse(Reason.RISK_NOT_ALLOWED, tuple(f"problem-{n:02}" for n in range(count)), subject="profile x")
    assert f"has {count} problem" in refused.value.message
    assert refused.value.message.endswith(more or "problem-19")


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("yes", "'yes'"),
        ("x" * 12, "x" * 12),
        ("x" * 13, "13 characters"),
        ("trüe", "'tr\\xfce'"),
    ],
    ids=ascii,
)
def test_flag_is_told_as_far_as_it_cannot_be_a_key(flag: str, shown: str) -> None:
    problems = [
        network.testnet_flag_problem(flag) or "",
        network.env_file_problem(f"{network.FLAG_LINE}\n", flag) or "",
    ]
    assert [problem for problem in problems if shown not in problem] == []
    assert [problem for problem in problems if "x" * 13 in problem] == []


def test_flag_that_is_unset_is_told_as_unset() -> None:
    assert "unset" in (network.testnet_flag_problem(None) or "")
    assert "unset" in (network.env_file_problem(f"{network.FLAG_LINE}\n", None) or "")


@pytest.mark.parametrize(
    ("dry_run", "shown"),
    [
        (None, "found null"),
        (False, "found false"),
        ("true", "found 'true'"),
        (1, "found a number"),
        ([True], "an array"),
    ],
    ids=repr,
)
def test_dry_run_is_told_as_it_was_sent(dry_run: object, shown: str) -> None:
    with pytest.raises(Refusal) as refused:
        network.require_testnet_payload({**TESTNET_FIELDS, "dry_run": dry_run})
    assert shown in refused.value.message


def test_true_is_told_where_it_is_no_flag() -> None:
    assert "found true" in (network.testnet_flag_problem(True) or "")  # type: ignore[arg-type]


def test_exchange_connection_is_told_by_its_kind_only() -> None:
    with pytest.raises(Refusal) as refused:
        network.require_testnet_payload({**TESTNET_FIELDS, "exchange_connection_id": 4711})
    assert "found a number" in refused.value.message
    assert "4711" not in refused.value.message


def test_line_of_the_env_file_is_counted_from_one() -> None:
    assert ".env line 1 " in (network.env_file_problem('A="b\nBINANCE_TESTNET=true\n', "true") or "")
    assert ".env line 3 " in (network.env_file_problem("BINANCE_TESTNET=true\n\nA=b\\\n", "true") or "")
    assert "lines 1, 3;" in (network.env_file_problem("BINANCE_TESTNET=true\n\nBINANCE_TESTNET=true\n", "true") or "")


@pytest.mark.parametrize(
    "text",
    [
        "BINANCE_TESTNET=true\nX#BINANCE_TESTNET=false\n",
        "BINANCE_TESTNET=true\n\u3000# BINANCE_TESTNET=false\n",
        "BINANCE_TESTNET=true\nBINANCE_\x01TESTNET=false\n",
        "BINANCE_TESTNET=true\nexport\tBINANCE_TESTNET=false\n",
    ],
    ids=ascii,
)
def test_env_file_that_some_parser_may_read_another_way_is_refused(text: str) -> None:
    assert network.env_file_problem(text, "true") is not None


@pytest.mark.parametrize("comment", ["  # A='open", "\t# BINANCE_TESTNET=false", " \t #"], ids=ascii)
def test_indented_comment_is_a_comment(comment: str) -> None:
    assert network.env_file_problem(f"{comment}\nBINANCE_TESTNET=true\n", "true") is None


@pytest.mark.parametrize("asset", ["btc", None, "A" * 33], ids=repr)
def test_asset_of_a_bad_holding_is_told(asset: Any) -> None:
    (problem,) = holdings_problems([(asset, Decimal(1))])
    assert repr(asset)[:33] in problem


def test_quantity_of_another_kind_is_told_by_its_kind() -> None:
    (problem,) = holdings_problems([("BTC", 0.5)])
    assert "BTC" in problem
    assert "float" in problem


@pytest.mark.parametrize("words", [5, ["no"]], ids=repr)
def test_words_of_another_kind_are_told_by_their_kind(words: Any) -> None:
    with pytest.raises(Refusal) as refused:
        require_words(words, name="reason", reason=Reason.REASON_REQUIRED, subject="the rejection")
    assert type(words).__name__ in refused.value.message


def test_environment_is_told_as_it_was_sent() -> None:
    with pytest.raises(Refusal) as refused:
        network.require_testnet_payload({**TESTNET_FIELDS, "environment": "mainnet"})
    assert "'mainnet'" in refused.value.message
