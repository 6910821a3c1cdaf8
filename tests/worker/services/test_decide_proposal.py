"""Approving and rejecting: every check, each refusal beside its accepted twin, in the contract's order."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, Outside
from tests.worker.services.managed import CLICK, INSTANT, proposal_of, propose, put
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import (
    ConfidenceOverrideRequired,
    HardConfirmMismatch,
    ProposalExpired,
    ProposalNotFound,
    ProposalNotReadable,
)
from worker.contracts.proposal_document import proposal_document
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand

TICK = timedelta(microseconds=1)
PROPOSAL = proposal_of()
LATER = (INSTANT + timedelta(minutes=10)).replace(tzinfo=None)
Decide = Callable[..., CreatedCommand]


@pytest.fixture
def service(engine: Engine) -> ProposalService:
    return ProposalService(engine)


def approve(service: ProposalService, proposal_id: UUID = PROPOSAL.proposal_id, **words: Any) -> CreatedCommand:
    return service.create_approve_command(
        proposal_id,
        words.pop("user", ADMIN),
        words.pop("variant", "balanced"),
        words.pop("overrides", {}),
        words.pop("hard_confirm", "ETH:balanced"),
        words.pop("confidence_override", False),
        **words,
    )


def reject(service: ProposalService, proposal_id: UUID = PROPOSAL.proposal_id, **words: Any) -> CreatedCommand:
    user = words.pop("user", ADMIN)
    return service.create_reject_command(proposal_id, user, words.pop("reason", "spread too wide"), **words)


BOTH = pytest.mark.parametrize("decide", [approve, reject])


def refused(outside: Outside, decide: Decide, service: ProposalService, *about: Any, **words: Any) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        decide(service, *about, **words)
    assert outside.everything() == before
    return refusal.value


def test_approval_says_what_was_chosen(service: ProposalService, outside: Outside) -> None:
    propose(outside, PROPOSAL)
    approve(service, overrides={"allocation_pct": Decimal("0.02")})

    payload = outside.row("SELECT payload::text FROM commands")["payload"]
    told = outside.row("SELECT metadata FROM audit_events")["metadata"]
    assert '"overrides":{"allocation_pct":0.02}' in payload
    assert '"variant":"balanced"' in payload
    assert '"hard_confirm":"ETH:balanced"' in payload
    assert (told["proposal_id"], told["variant"]) == (str(PROPOSAL.proposal_id), "balanced")
    assert told["overrides"] == {"allocation_pct": 0.02}


def test_rejection_says_why(service: ProposalService, outside: Outside) -> None:
    propose(outside, PROPOSAL)
    reject(service)

    assert outside.row("SELECT payload ->> 'reason' AS told FROM commands") == {"told": "spread too wide"}
    assert outside.row("SELECT metadata ->> 'reason' AS told FROM audit_events") == {"told": "spread too wide"}


@BOTH
def test_decision_touches_no_row_but_its_own(service: ProposalService, outside: Outside, decide: Decide) -> None:
    propose(outside, PROPOSAL)
    before = outside.everything()
    decide(service)
    after = outside.everything()

    assert {table for table in after if after[table] != before[table]} == {"commands", "audit_events"}


@BOTH
def test_decision_of_a_proposal_that_nobody_knows_is_refused(
    service: ProposalService, outside: Outside, decide: Decide
) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, decide, service, CLICK)
    assert isinstance(error, ProposalNotFound)
    assert str(CLICK) in error.expected


@BOTH
@pytest.mark.parametrize("state", ["proposal_pending", "approved", "rejected", "expired"])
def test_decision_of_a_proposal_that_is_not_open_is_refused(
    service: ProposalService, outside: Outside, decide: Decide, state: str
) -> None:
    propose(outside, PROPOSAL, state=state)
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalAlreadyDecided)
    assert (error.expected, error.found, error.winner) == ("risk_proposed and undecided", state, None)


@BOTH
def test_decision_of_a_decided_proposal_names_the_command_that_decided(
    service: ProposalService, outside: Outside, decide: Decide
) -> None:
    propose(outside, PROPOSAL)
    winner = approve(service)
    outside.rows("UPDATE managed_proposals SET decided_at = now(), decision = 'approved'")
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalAlreadyDecided)
    assert (error.found, error.winner) == ("approved", str(winner.command_id))


@BOTH
def test_decision_of_an_expired_proposal_blames_no_command_that_came_to_nothing(
    service: ProposalService, outside: Outside, decide: Decide
) -> None:
    propose(outside, PROPOSAL)
    approve(service)
    outside.rows("UPDATE commands SET status = 'failed'")
    outside.rows("UPDATE managed_proposals SET state = 'expired'")
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalAlreadyDecided)
    assert (error.found, error.winner) == ("expired", None)


@BOTH
@pytest.mark.parametrize("late_by", [timedelta(0), TICK, timedelta(hours=3)], ids=str)
@pytest.mark.parametrize("side", ["row", "document"])
def test_decision_from_the_expiry_instant_on_is_refused(
    service: ProposalService, outside: Outside, decide: Decide, late_by: timedelta, side: str
) -> None:
    expires_at = INSTANT - late_by
    proposal = proposal_of(generated_at=INSTANT - timedelta(hours=4), expires_at=expires_at)
    expired_in: dict[str, dict[str, Any]] = {
        "row": {"document": proposal_document(PROPOSAL)},
        "document": {"expires_at": LATER},
    }
    propose(outside, proposal, **expired_in[side])
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalExpired)
    assert (error.expected, error.found) == (expires_at, INSTANT)


@BOTH
def test_decision_one_microsecond_before_expiry_is_accepted(
    service: ProposalService, outside: Outside, decide: Decide
) -> None:
    propose(outside, proposal_of(expires_at=INSTANT + TICK))
    assert decide(service).created


DAMAGED: dict[str, tuple[object, str]] = {
    "none": (None, "no document"),
    "array": ([], "a document damaged at $"),
    "text": ("proposal", "a document damaged at $"),
    "empty": ({}, "a document damaged at $.schema_version"),
    "cut": (
        {key: value for key, value in proposal_document(PROPOSAL).items() if key != "variants"},
        "a document damaged at $",
    ),
    "more": ({**proposal_document(PROPOSAL), "surplus": 1}, "a document damaged at $"),
    "number of thirty digits": (
        {**proposal_document(PROPOSAL), "schema_version": 10**30 + 1},
        "a document damaged at $",
    ),
    "later schema": (
        {**proposal_document(PROPOSAL), "schema_version": 2},
        "a document damaged at $.schema_version",
    ),
    "another asset's": ({**proposal_document(PROPOSAL), "asset": "BTC"}, "the document of another proposal"),
    "another proposal's": (
        {**proposal_document(PROPOSAL), "proposal_id": str(CLICK)},
        "the document of another proposal",
    ),
}


@BOTH
@pytest.mark.parametrize("damage", DAMAGED)
def test_decision_of_a_proposal_without_a_whole_document_is_refused(
    service: ProposalService, outside: Outside, decide: Decide, damage: str
) -> None:
    document, found = DAMAGED[damage]
    propose(outside, PROPOSAL, document=document)
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalNotReadable)
    assert error.reason is Reason.PROPOSAL_NOT_READABLE
    assert error.message == (
        f"proposal {PROPOSAL.proposal_id} has {found}, expected a whole document; if it stays so, let it expire and "
        "request a new proposal"
    )


@pytest.mark.parametrize("variant", ["", "Balanced", "balanced ", "bold", None, 1])
def test_approval_of_a_variant_that_the_proposal_lacks_is_refused(
    service: ProposalService, outside: Outside, variant: Any
) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, approve, service, variant=variant, hard_confirm=f"ETH:{variant}")
    assert error.reason is Reason.VARIANT_UNKNOWN


@pytest.mark.parametrize("variant", ["conservative", "balanced", "aggressive"])
def test_approval_of_each_variant_is_accepted(service: ProposalService, outside: Outside, variant: str) -> None:
    propose(outside, PROPOSAL)
    assert approve(service, variant=variant, hard_confirm=f"ETH:{variant}").created


@pytest.mark.parametrize(
    "hard_confirm",
    [
        "eth:balanced",
        "ETH:Balanced",
        "ETH:BALANCED",
        "ETH: balanced",
        " ETH:balanced",
        "ETH:balanced\n",
        "ETH:conservative",
        "BTC:balanced",
        "\u0415TH:balanced",
        "",
        None,
        True,
    ],
    ids=repr,
)
def test_approval_without_the_exact_confirmation_is_refused(
    service: ProposalService, outside: Outside, hard_confirm: Any
) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, approve, service, hard_confirm=hard_confirm)
    assert isinstance(error, HardConfirmMismatch)
    assert error.expected == "ETH:balanced"


@pytest.mark.parametrize("override", [False, None, 1, "true"])
def test_approval_of_low_confidence_without_the_override_is_refused(
    service: ProposalService, outside: Outside, override: Any
) -> None:
    propose(outside, proposal_of(confidence="0.4999"))
    error = refused(outside, approve, service, confidence_override=override)
    assert isinstance(error, ConfidenceOverrideRequired)
    assert (error.expected, error.found) == (Decimal("0.50"), Decimal("0.4999"))


def test_approval_that_says_nothing_of_the_override_has_not_asked_for_it(
    service: ProposalService, outside: Outside
) -> None:
    propose(outside, proposal_of(confidence="0.4999"))
    with pytest.raises(ConfidenceOverrideRequired):
        service.create_approve_command(PROPOSAL.proposal_id, ADMIN, "balanced", None, "ETH:balanced")


@pytest.mark.parametrize(("confidence", "override"), [("0.4999", True), ("0.5", False), ("0.5", True), ("1", False)])
def test_approval_of_enough_confidence_or_with_the_override_is_accepted(
    service: ProposalService, outside: Outside, confidence: str, override: bool
) -> None:
    propose(outside, proposal_of(confidence=confidence))
    approve(service, confidence_override=override)
    told = outside.row("SELECT payload -> 'confidence_override' AS told FROM commands")["told"]
    assert told is override


@pytest.mark.parametrize(
    "overrides",
    [
        {"leverage": Decimal(1)},
        {"allocation_pct": Decimal("0.04")},
        {"allocation_pct": Decimal(0)},
        {"stop_loss_pct": Decimal("0.05")},
        {"take_profit_pct": Decimal("1.1")},
        {"allocation_pct": 0.01},
        {1: Decimal("0.01")},
        ["allocation_pct"],
    ],
    ids=["stranger", "more", "nothing", "wider stop", "beyond the whole", "float", "no name", "array"],
)
def test_override_that_is_not_allowed_is_refused(service: ProposalService, outside: Outside, overrides: Any) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, approve, service, overrides=overrides)
    assert error.reason is Reason.OVERRIDE_NOT_ALLOWED
    assert "leverage" not in str(error)


@pytest.mark.parametrize("overrides", [None, {}, {"take_profit_pct": Decimal(1)}, {"allocation_pct": Decimal("0.03")}])
def test_override_that_risks_no_more_is_accepted(service: ProposalService, outside: Outside, overrides: Any) -> None:
    propose(outside, PROPOSAL)
    assert approve(service, overrides=overrides).created


def test_allocation_overridden_below_the_smallest_position_is_refused(
    service: ProposalService, outside: Outside
) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, approve, service, overrides={"allocation_pct": Decimal("0.000999")})
    assert error.reason is Reason.POSITION_BELOW_MINIMUM
    assert approve(service, overrides={"allocation_pct": Decimal("0.001")}).created


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("", "needs the reason in words, found 0 blank characters; write one"),
        (" \t", "needs the reason in words, found 2 blank characters; write one"),
        (None, "needs its reason as a text, found a NoneType; write one"),
        ("no " * 167, "takes 500 characters of reason, found 501; shorten it"),
        ("no\x00", "has characters in its reason that no text has; write it again by hand"),
    ],
)
def test_rejection_without_a_reason_is_refused(
    service: ProposalService, outside: Outside, reason: Any, told: str
) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, reject, service, reason=reason)
    assert error.reason is Reason.REASON_REQUIRED
    assert error.message == f"the rejection of proposal {PROPOSAL.proposal_id} {told}"


def test_rejection_whose_reason_holds_a_secret_is_refused(service: ProposalService, outside: Outside) -> None:
    propose(outside, PROPOSAL)
    error = refused(outside, reject, service, reason="password=hunter2hunter2")
    assert error.reason is Reason.SECRET_FOUND
    assert "hunter2" not in str(error)


def test_checks_of_an_approval_come_in_the_contracts_order(service: ProposalService, outside: Outside) -> None:
    wrong: dict[str, Any] = {"variant": "bold", "hard_confirm": "no", "overrides": {"leverage": 1}}
    late = proposal_of(confidence="0.1", generated_at=INSTANT - timedelta(hours=1), expires_at=INSTANT)
    told = [type(refused(outside, approve, service, **wrong))]
    propose(outside, late, state="approved", document=None)
    told.append(type(refused(outside, approve, service, **wrong)))
    outside.rows("UPDATE managed_proposals SET state = 'risk_proposed'")
    told.append(type(refused(outside, approve, service, **wrong)))
    outside.rows("DELETE FROM managed_proposals")
    put(outside, proposal_of(confidence="0.1"))
    reasons = [refused(outside, approve, service, **wrong).reason]
    for right in ({"variant": "balanced"}, {"hard_confirm": "ETH:balanced"}, {"confidence_override": True}):
        wrong |= right
        reasons.append(refused(outside, approve, service, **wrong).reason)

    assert told == [ProposalNotFound, ProposalAlreadyDecided, ProposalExpired]
    assert reasons == [
        Reason.VARIANT_UNKNOWN,
        Reason.HARD_CONFIRM_MISMATCH,
        Reason.CONFIDENCE_OVERRIDE_REQUIRED,
        Reason.OVERRIDE_NOT_ALLOWED,
    ]
    assert approve(service, **wrong | {"overrides": {}}).created
