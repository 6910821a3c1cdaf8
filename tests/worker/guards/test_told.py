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
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.guards import network
from worker.guards.freshness import expiry_text, require_expiry_agreement
from worker.guards.holdings import holdings_problems
from worker.guards.limits import (
    config_problems,
    cross_field_problems,
    range_problems,
    refuse,
    risk_key_problems,
)
from worker.guards.operator_words import require_words

INSTANT = datetime(2026, 5, 9, 9, 5, tzinfo=UTC)
TESTNET_FIELDS: dict[str, Any] = {"environment": "testnet", "dry_run": True, "exchange_connection_id": None}
KINDS: list[tuple[Any, str]] = [("loud", "a string of 4 characters"), (5, "a number"), (["info"], "an array")]


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
        ("2026-05-09T09:04:00Z", INSTANT, "2026-05-09T09:05:00.000000Z, found 2026-05-09T09:04:00.000000Z"),
        (None, INSTANT, "2026-05-09T09:05:00.000000Z, found no expiry"),
        ("2026-05-09T09:04:00Z", None, "no expiry, found 2026-05-09T09:04:00.000000Z"),
        ("soon", INSTANT, "2026-05-09T09:05:00.000000Z, found something that is not an ISO 8601 UTC time"),
    ],
)
def test_both_expiries_are_told_where_they_disagree(payload: object, row: datetime | None, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_expiry_agreement(payload, row)
    assert refused.value.message == (f"payload expires_at must equal the command's own {told}; make the command again")


@pytest.mark.parametrize(("value", "shown"), KINDS, ids=repr)
def test_config_value_is_told_by_its_kind_beside_the_allowed_ones(value: Any, shown: str) -> None:
    problems = config_problems({**CONFIG, "log_level": value})
    assert problems == (f"config log_level must be one of debug, info, warning, error, found {shown}",)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("loud", "a string of 4 characters"), (0.5, "a float"), (["info"], "an array")],
    ids=repr,
)
def test_risk_value_is_told_by_its_kind(value: Any, shown: str) -> None:
    problems = range_problems({**RISK, "cash_reserve_pct": value})
    assert problems == (f"risk cash_reserve_pct must be a finite decimal of at most 15 digits, found {shown}",)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("cash_reserve_pct", 2, "above 0 and at most 1, found 2"),
        ("max_open_positions", 51, "a whole number from 1 to 50, found 51"),
        ("min_position_value_usdt", 4, "at least 5, found 4"),
    ],
)
def test_risk_value_out_of_range_is_told(key: str, value: int, told: str) -> None:
    assert range_problems({**RISK, key: value}) == (f"risk {key} must be {told}",)


@pytest.mark.parametrize(("lesser", "greater", "bound", "strict"), CROSS_FIELD, ids=[case[0] for case in CROSS_FIELD])
def test_broken_order_is_told_with_both_values_and_the_bound(
    lesser: str, greater: str, bound: Decimal, strict: bool
) -> None:
    wrong = bound + Decimal("0.001")
    relation = "below" if strict else "at most"
    assert cross_field_problems({**RISK, lesser: wrong}) == (
        f"risk {lesser} must be {relation} {greater}, found {wrong.normalize()} and {bound.normalize()}",
    )


def test_broken_sum_is_told_with_both_values() -> None:
    assert cross_field_problems({**RISK, "cash_reserve_pct": Decimal("0.90")}) == (
        "risk max_total_exposure_pct and cash_reserve_pct must add up to at most 1, found 0.2 and 0.9",
    )


def test_missing_value_hides_no_other_broken_rule() -> None:
    risk = {**RISK, "max_risk_per_trade_pct": Decimal("0.03")}
    del risk["tier_low_allocation_pct"]
    assert len(cross_field_problems(risk)) == 1


def test_unknown_keys_are_told_by_their_number() -> None:
    problem, *_ = risk_key_problems({**RISK, "leverage": 3, "margin": 1})
    assert problem.startswith("2 unknown")


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, "; and 1 more"), (30, "; and 10 more")])
def test_problems_that_are_not_named_are_counted(count: int, more: str) -> None:
    with pytest.raises(Refusal) as refused:
        refuse(Reason.RISK_NOT_ALLOWED, tuple(f"problem-{n:02}" for n in range(count)), subject="profile x")
    named = "; ".join(f"problem-{n:02}" for n in range(20))
    assert refused.value.message == f"profile x has {count} problem(s): {named}{more}"


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("yes", "'yes'"),
        ("x" * 12, f"'{'x' * 12}'"),
        ("x" * 13, "a string of 13 characters"),
        ("trüe", "'tr\\xfce'"),
    ],
    ids=ascii,
)
def test_flag_is_told_as_far_as_it_cannot_be_a_key(flag: str, shown: str) -> None:
    assert network.testnet_flag_problem(flag) == (
        f"BINANCE_TESTNET must be exactly 'true', found {shown}; set BINANCE_TESTNET=true in the environment"
    )
    assert network.env_file_problem("BINANCE_TESTNET=true\n", flag) == (
        f".env says BINANCE_TESTNET=true but the environment has {shown}; make both say 'true'"
    )


def test_flag_that_is_unset_is_told_as_unset() -> None:
    assert network.testnet_flag_problem(None) == (
        "BINANCE_TESTNET must be exactly 'true', it is unset; set BINANCE_TESTNET=true in the environment"
    )
    assert network.env_file_problem("BINANCE_TESTNET=true\n", None) == (
        ".env says BINANCE_TESTNET=true but the environment leaves it unset; make both say 'true'"
    )


@pytest.mark.parametrize(
    ("dry_run", "shown"),
    [
        (None, "null"),
        (False, "false"),
        ("true", "'true'"),
        (1, "a number"),
        ([True], "an array"),
    ],
    ids=repr,
)
def test_dry_run_is_told_as_it_was_sent(dry_run: object, shown: str) -> None:
    with pytest.raises(Refusal) as refused:
        network.require_testnet_payload({**TESTNET_FIELDS, "dry_run": dry_run})
    assert refused.value.message == f"dry_run must be true, found {shown}; only dry runs exist in this phase"


def test_true_is_told_where_it_is_no_flag() -> None:
    assert "found true" in (network.testnet_flag_problem(True) or "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        (
            {"exchange_connection_id": 4711},
            "exchange_connection_id must be null, found a number; no command may name one",
        ),
        ({}, "exchange_connection_id must be present and null, found no such field; send it as null"),
    ],
    ids=str,
)
def test_exchange_connection_is_told_by_its_kind_only(stated: dict[str, object], told: str) -> None:
    fields = {key: value for key, value in TESTNET_FIELDS.items() if key != "exchange_connection_id"}
    with pytest.raises(Refusal) as refused:
        network.require_testnet_payload({**fields, **stated})
    assert refused.value.message == told


FEED = ".env has a line break other than a line feed (CRLF, form feed, U+2028 …); save it with Unix line ends"
OTHER_WAY = "writes BINANCE_TESTNET another way; write exactly BINANCE_TESTNET=true, nothing before or after it"
JOINED = "ends in a backslash, which some parsers join with the next line; write the value on one line"
OPEN = "opens a quote and does not close it; write the value on one line"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ".env has no line BINANCE_TESTNET=true; add it"),
        ("#" * 65_537, ".env must have at most 65536 characters, found 65537; is it the right file?"),
        ("\ufeffBINANCE_TESTNET=true\n", ".env begins with a byte order mark; save it as plain UTF-8"),
        ("BINANCE_TESTNET=true\r\n", FEED),
        ('A="b\nBINANCE_TESTNET=true\n', f".env line 1 {OPEN}"),
        ("BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n", f".env line 2 {OTHER_WAY}"),
        ("BINANCE_TESTNET=true\n\nA=b\\\n", f".env line 3 {JOINED}"),
        ("BINANCE_TESTNET=true\n\nBINANCE_TESTNET=true\n", ".env has BINANCE_TESTNET=true on lines 1, 3; keep one"),
    ],
    ids=lambda text: text[:60],
)
def test_env_file_is_told_by_its_line_from_one_and_by_what_to_write(text: str, told: str) -> None:
    assert network.env_file_problem(text, "true") == told


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
    assert holdings_problems([("BTC", 0.5)]) == ("asset 'BTC': quantity must be a decimal, found a float",)


@pytest.mark.parametrize("words", [5, ["no"]], ids=repr)
def test_words_of_another_kind_are_told_by_their_kind(words: Any) -> None:
    with pytest.raises(Refusal) as refused:
        require_words(words, name="reason", reason=Reason.REASON_REQUIRED, subject="the rejection")
    assert type(words).__name__ in refused.value.message


def test_environment_is_told_as_it_was_sent() -> None:
    with pytest.raises(EnvironmentNotAllowed) as refused:
        network.require_testnet_payload({**TESTNET_FIELDS, "environment": "mainnet"})
    assert refused.value.message == "payload has environment 'mainnet', expected 'testnet'"
    assert (refused.value.expected, refused.value.found) == ("testnet", "mainnet")
