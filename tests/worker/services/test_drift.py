"""The bot's own flag: well-formed evidence of a managed asset, one command per new evidence, no user."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import Outside
from tests.worker.services.managed import CLICK, DRIFTED, EVIDENCE, MANAGED, OTHER_CLICK, PAUSED, hold, manage, walk
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.states import ManagedState
from worker.services.drift import DriftEvidence, DriftService
from worker.services.submission import CreatedCommand

OTHER_EVIDENCE: dict[str, dict[str, Any]] = {
    "found": {"found": Decimal("1.4")},
    "generation": {"generation": 4},
}


QUANTITY = "must be a decimal of at most 15 digits at or above zero"
PROBLEMS = {
    "expected": f"expected {QUANTITY}",
    "found": f"found {QUANTITY}",
    "generation": "generation must be a whole number from 1",
}


@pytest.fixture
def service(engine: Engine) -> DriftService:
    return DriftService(engine)


def flag(service: DriftService, evidence: DriftEvidence = EVIDENCE, **options: Any) -> CreatedCommand:
    return service.create_flag_command("ETH", evidence, **options)


def refused(service: DriftService, outside: Outside, evidence: DriftEvidence = EVIDENCE) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        flag(service, evidence)
    assert outside.everything() == before
    return refusal.value


def test_flag_carries_its_evidence_and_has_no_user(service: DriftService, outside: Outside) -> None:
    manage(outside, "ETH")
    flag(service)

    row = outside.row("SELECT requested_by, payload::text AS payload FROM commands")
    event = outside.row("SELECT user_id, metadata FROM audit_events")
    assert (row["requested_by"], event["user_id"]) == (None, None)
    assert '"expected":2,"expires_at":null,"found":1.5,"generation":3,"requested_by":null' in row["payload"]
    assert {key: event["metadata"][key] for key in ("expected", "found", "generation")} == {
        "expected": 2,
        "found": 1.5,
        "generation": 3,
    }


@pytest.mark.parametrize("state", [MANAGED, PAUSED])
def test_asset_that_is_managed_is_flagged(service: DriftService, outside: Outside, state: ManagedState) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", state)
    assert flag(service).created


@pytest.mark.parametrize("state", [state for state in ManagedState if state not in (MANAGED, PAUSED)])
def test_asset_that_is_not_managed_or_flagged_already_is_refused(
    service: DriftService, outside: Outside, state: ManagedState
) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", state)
    assert refused(service, outside).reason is Reason.ILLEGAL_TRANSITION


@pytest.mark.parametrize("ended", ["pending", "succeeded"])
@pytest.mark.parametrize("spelt", ["1.5", "1.50"])
def test_same_evidence_gets_its_earlier_command_also_once_it_is_flagged(
    service: DriftService, outside: Outside, ended: str, spelt: str
) -> None:
    manage(outside, "ETH")
    first = flag(service, click_id=CLICK)
    outside.rows("UPDATE commands SET status = %s", ended)
    walk(outside, "ETH", DRIFTED)
    before = outside.everything()
    second = flag(service, replace(EVIDENCE, found=Decimal(spelt)), click_id=OTHER_CLICK)

    assert (second.command_id, second.created) == (first.command_id, False)
    assert outside.everything() == before


@pytest.mark.parametrize("change", OTHER_EVIDENCE)
def test_new_evidence_makes_a_new_command_until_the_asset_is_flagged(
    service: DriftService, outside: Outside, change: str
) -> None:
    manage(outside, "ETH")
    evidence = replace(EVIDENCE, **OTHER_EVIDENCE[change])
    flag(service)
    walk(outside, "ETH", DRIFTED)
    assert refused(service, outside, evidence).reason is Reason.ILLEGAL_TRANSITION
    walk(outside, "ETH", MANAGED)
    assert flag(service, evidence).created


def test_evidence_that_expects_something_else_under_one_key_is_refused(service: DriftService, outside: Outside) -> None:
    manage(outside, "ETH")
    first = flag(service)
    error = refused(service, outside, replace(EVIDENCE, expected=Decimal(3)))
    assert isinstance(error, ProposalAlreadyDecided)
    assert error.winner == str(first.command_id)


@pytest.mark.parametrize("found", ["2", "2.000"])
def test_holding_as_expected_is_no_drift(service: DriftService, outside: Outside, found: str) -> None:
    manage(outside, "ETH")
    refusal = refused(service, outside, replace(EVIDENCE, found=Decimal(found)))
    assert refusal.reason is Reason.NO_DRIFT
    assert refusal.message == "asset ETH is held as expected; there is no drift to flag"


@pytest.mark.parametrize(
    "change",
    [
        {"found": 1.5},
        {"found": 1},
        {"found": "1.5"},
        {"found": None},
        {"found": Decimal("NaN")},
        {"found": Decimal("-1")},
        {"found": Decimal("0.1234567890123456")},
        {"found": Decimal("1e19")},
        {"expected": Decimal("1e-19")},
        {"expected": Decimal("Infinity")},
        {"generation": 0},
        {"generation": -1},
        {"generation": True},
        {"generation": Decimal(3)},
        {"generation": 10**15},
    ],
    ids=repr,
)
def test_evidence_that_is_malformed_is_refused(service: DriftService, outside: Outside, change: dict[str, Any]) -> None:
    manage(outside, "ETH")
    refusal = refused(service, outside, replace(EVIDENCE, **change))
    assert refusal.reason is Reason.DRIFT_EVIDENCE_MALFORMED
    (field,) = change
    assert refusal.message == f"the drift evidence for ETH has 1 problem(s): {PROBLEMS[field]}"


@pytest.mark.parametrize(
    "change",
    [
        {"found": Decimal(0)},
        {"expected": Decimal(0)},
        {"found": Decimal("1e-18")},
        {"found": Decimal("123456789012345")},
        {"generation": 1},
        {"generation": 10**15 - 1},
    ],
    ids=repr,
)
def test_evidence_at_the_edge_is_accepted(service: DriftService, outside: Outside, change: dict[str, Any]) -> None:
    manage(outside, "ETH")
    assert flag(service, replace(EVIDENCE, **change)).created
