"""The baseline: well-formed holdings, one command per content, and nothing to do when it already holds."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, OTHER_ADMIN, VIEWER, Outside
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding


def holdings(*pairs: tuple[Any, Any]) -> list[RequestedHolding]:
    return [RequestedHolding(asset=asset, quantity=quantity) for asset, quantity in pairs]


REFERENCE = holdings(("BTC", Decimal("0.5")), ("ETH", Decimal("3.25")))


@pytest.fixture
def service(engine: Engine) -> ApplyBaselineService:
    return ApplyBaselineService(engine)


def refused(service: ApplyBaselineService, outside: Outside, wanted: Any, user: Any = ADMIN, **options: Any) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        service.create_command(wanted, user, **options)
    assert outside.everything() == before
    return refusal.value


def test_well_formed_holdings_make_one_command_and_one_audit_event(
    service: ApplyBaselineService, outside: Outside
) -> None:
    command = service.create_command(REFERENCE, ADMIN)
    row = outside.row("SELECT *, payload::text AS text, expires_at - created_at AS lifetime FROM commands")
    assert (row["command_type"], row["subject"]) == ("apply_baseline_holdings", "baseline")
    assert row["lifetime"].total_seconds() == 300
    assert row["idempotency_key"] == command.idempotency_key == f"baseline:apply:{command.checksum}"
    assert '"holdings":[{"asset":"BTC","quantity":0.5},{"asset":"ETH","quantity":3.25}]' in row["text"]
    event = outside.row("SELECT * FROM audit_events")
    assert (event["event_type"], event["command_id"]) == ("baseline.apply_requested", command.command_id)
    assert event["metadata"]["idempotency_key"] == command.idempotency_key
    assert (event["metadata"]["assets_n"], event["metadata"]["assets"]) == (2, ["BTC", "ETH"])


def test_callers_transaction_decides_whether_the_rows_stay(
    service: ApplyBaselineService, engine: Engine, outside: Outside
) -> None:
    before = outside.everything()
    with engine.connect() as joined:
        service.create_command(REFERENCE, ADMIN, connection=joined)
        assert outside.everything() == before
        joined.rollback()
        kept = service.create_command(REFERENCE, ADMIN, connection=joined)
        joined.commit()
    assert outside.row("SELECT command_id FROM commands") == {"command_id": kept.command_id}


def test_same_content_in_another_order_and_spelling_makes_one_command(
    service: ApplyBaselineService, outside: Outside
) -> None:
    first = service.create_command(REFERENCE, ADMIN)
    before = outside.everything()
    second = service.create_command(holdings(("ETH", Decimal("3.250")), ("BTC", Decimal("0.50"))), ADMIN)
    assert (second.command_id, second.created) == (first.command_id, False)
    assert outside.everything() == before


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        (holdings(("BTC", Decimal("0.5"))), ADMIN),
        (holdings(("BTC", Decimal("0.5")), ("ETH", Decimal("3.26"))), ADMIN),
        (REFERENCE, OTHER_ADMIN),
    ],
    ids=["fewer", "other-quantity", "other-user"],
)
def test_other_content_makes_another_command(
    service: ApplyBaselineService, wanted: list[RequestedHolding], user: int
) -> None:
    first = service.create_command(REFERENCE, ADMIN)
    second = service.create_command(wanted, user)
    assert second.created
    assert second.command_id != first.command_id


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ([], "expected 1 to 500 holdings, found 0"),
        (holdings(("BTC", Decimal(1)), ("BTC", Decimal(1))), "asset BTC stands twice"),
        (holdings(("btc", Decimal(1))), "asset 'btc' must be 2 to 32 capital letters or digits"),
        (holdings(("B", Decimal(1))), "asset 'B' must be 2 to 32 capital letters or digits"),
        (holdings(("BTC", Decimal(0))), "asset 'BTC': quantity must be finite and above zero"),
        (holdings(("BTC", Decimal("-1"))), "asset 'BTC': quantity must be finite and above zero"),
        (holdings(("BTC", Decimal("NaN"))), "asset 'BTC': quantity must be finite and above zero"),
        (
            holdings(("BTC", Decimal("0.1234567890123456"))),
            "asset 'BTC': quantity must have at most 15 significant digits and lie within 1e±18",
        ),
        (holdings(("BTC", 0.5)), "asset 'BTC': quantity must be a decimal, found a float"),
        (holdings(("BTC", "0.5")), "asset 'BTC': quantity must be a decimal, found a str"),
        (holdings((None, Decimal(1))), "asset None must be 2 to 32 capital letters or digits"),
    ],
    ids=[
        "none",
        "twice",
        "lower-case",
        "too-short",
        "zero",
        "negative",
        "nan",
        "sixteen-digits",
        "float",
        "text",
        "null",
    ],
)
def test_malformed_holdings_are_refused(
    service: ApplyBaselineService, outside: Outside, wanted: Any, problem: str
) -> None:
    refusal = refused(service, outside, wanted)
    assert refusal.reason is Reason.HOLDINGS_MALFORMED
    assert refusal.message == f"the baseline has 1 problem(s): {problem}"


@pytest.mark.parametrize("quantity", ["0.000000000000000001", "999999999999999", "0.123456789012345"])
def test_quantity_at_the_edge_is_accepted_and_kept_exactly(
    service: ApplyBaselineService, outside: Outside, quantity: str
) -> None:
    service.create_command(holdings(("BTC", Decimal(quantity))), ADMIN)
    written = outside.row("SELECT payload -> 'holdings' -> 0 ->> 'quantity' AS written FROM commands")["written"]
    assert Decimal(written) == Decimal(quantity)


def apply_to_cache(outside: Outside, *, frozen: bool = True, bitcoin: str = "0.50") -> None:
    for asset, quantity in (("BTC", bitcoin), ("ETH", "3.25")):
        outside.rows(
            "INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES (%s, %s, %s, now())",
            asset,
            quantity,
            frozen,
        )


def test_baseline_that_is_already_applied_is_refused(service: ApplyBaselineService, outside: Outside) -> None:
    apply_to_cache(outside)
    refusal = refused(service, outside, REFERENCE)
    assert refusal.reason is Reason.BASELINE_ALREADY_APPLIED
    assert refusal.message == "the baseline already holds exactly these 2 asset(s); there is nothing to apply"


def test_baseline_that_differs_from_the_applied_one_is_accepted(
    service: ApplyBaselineService, outside: Outside
) -> None:
    apply_to_cache(outside, bitcoin="0.51")
    assert service.create_command(REFERENCE, ADMIN).created


def test_same_baseline_with_assets_no_longer_frozen_is_accepted(
    service: ApplyBaselineService, outside: Outside
) -> None:
    apply_to_cache(outside, frozen=False)
    assert service.create_command(REFERENCE, ADMIN).created


def test_baseline_of_which_an_asset_is_missing_is_accepted(service: ApplyBaselineService, outside: Outside) -> None:
    apply_to_cache(outside)
    assert service.create_command(holdings(("BTC", Decimal("0.5"))), ADMIN).created


@pytest.mark.parametrize("user", [VIEWER, 99], ids=["viewer", "nobody"])
def test_anyone_but_an_admin_is_refused(service: ApplyBaselineService, outside: Outside, user: int) -> None:
    assert refused(service, outside, REFERENCE, user).reason is Reason.USER_NOT_ALLOWED


def test_any_other_environment_is_refused(service: ApplyBaselineService, outside: Outside) -> None:
    assert isinstance(refused(service, outside, REFERENCE, environment="mainnet"), EnvironmentNotAllowed)
