"""A proposal as a document of plain JSON values, and back: strict both ways.

Schema 1, the same in `state/risk_proposals/<proposal_id>.json` and in `managed_proposals.proposal_json`::

    {"schema_version": 1, "proposal_id": ID, "command_id": ID, "asset": "ETH", "intent": TEXT,
     "requested_by": 23 or null, "generated_at": T, "expires_at": T, "profile_id": ID, "profile_version": 1,
     "market_at": T, "engine": NAME,
     "synthetic_entry": {"price_usdt": "3000", "quantity": "2", "value_usdt": "6000"},
     "equity_usdt": "10000", "volatility_pct": "0.02",
     "variants": [{"name": "conservative", "allocation_pct": "0.01", "allocation_cap_pct": "0.01",
       "position_value_usdt": "100", "quantity": "0.03333333", "stop_loss_pct": "0.03", "stop_loss_price": "2910",
       "take_profit_pct": "0.062", "take_profit_price": "3186", "risk_pct": "0.0003", "meets_minimum": true},
       balanced, aggressive],
     "confidence": {"overall_score": "0.9", "parts": {NAME: "0.9"}},
     "limits": {NAME: "50"}}

Decimals are decimal strings, times ISO 8601 with a Z. The three variants stand in ascending risk.
Source: contract §2, §3, §8.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec

from worker.contracts.commands import CommandId
from worker.contracts.payloads import Asset, Text
from worker.contracts.proposals import (
    SCHEMA_VERSION,
    Assessment,
    Confidence,
    Proposal,
    ProposalId,
    SyntheticEntry,
    Variant,
    VariantName,
)
from worker.contracts.text_forms import DecimalText, TimeText, decimal_text, time_of, time_text

MAX_ENTRIES = 64
"""The most parts of a confidence, and the most limits, that are read; the engine has 4 and 13."""

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_.-]{0,63}\Z")]
Whole = Annotated[int, msgspec.Meta(ge=1, le=10**15 - 1)]
Score = Annotated[str, msgspec.Meta(pattern=r"\A(0(\.[0-9]{1,30})?|1(\.0{1,30})?)\Z")]

T = TypeVar("T")


class ProposalDamaged(ValueError):
    """A document is not a proposal as its schema says; `place` is the JSON path of the first thing that is not."""

    def __init__(self, *, place: str, problem: str) -> None:
        super().__init__(f"the proposal is damaged at {place}: {problem}")
        self.place = place
        self.problem = problem


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of the document has in common: nothing missing, nothing more."""


class _EntryInDocument(_Strict, frozen=True, kw_only=True):
    price_usdt: DecimalText
    quantity: DecimalText
    value_usdt: DecimalText


class _VariantInDocument(_Strict, frozen=True, kw_only=True):
    name: VariantName
    allocation_pct: DecimalText
    allocation_cap_pct: DecimalText
    position_value_usdt: DecimalText
    quantity: DecimalText
    stop_loss_pct: DecimalText
    stop_loss_price: DecimalText
    take_profit_pct: DecimalText
    take_profit_price: DecimalText
    risk_pct: DecimalText
    meets_minimum: bool


class _ConfidenceInDocument(_Strict, frozen=True, kw_only=True):
    overall_score: Score
    # Left raw, so that what is wrong with an entry is reported under its name.
    parts: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_ENTRIES)]


class _ProposalInDocument(_Strict, frozen=True, kw_only=True):
    schema_version: int
    proposal_id: UUID
    command_id: UUID
    asset: Asset
    intent: Text
    requested_by: Whole | None
    generated_at: TimeText
    expires_at: TimeText
    profile_id: UUID
    profile_version: Whole
    market_at: TimeText
    engine: Name
    synthetic_entry: _EntryInDocument
    equity_usdt: DecimalText
    volatility_pct: DecimalText
    variants: tuple[_VariantInDocument, _VariantInDocument, _VariantInDocument]
    confidence: _ConfidenceInDocument
    limits: Annotated[dict[str, Any], msgspec.Meta(max_length=MAX_ENTRIES)]


def proposal_document(proposal: Proposal) -> dict[str, Any]:
    """`proposal` as plain JSON values; parsing it gives an equal `Proposal`.

    Raises: `ValueError` for a value the schema has no place for: what cannot be read back is never given out.
    """
    assessment = proposal.assessment
    document = {
        "schema_version": SCHEMA_VERSION,
        "proposal_id": str(proposal.proposal_id),
        "command_id": str(proposal.command_id),
        "asset": proposal.asset,
        "intent": proposal.intent,
        "requested_by": proposal.requested_by,
        "generated_at": time_text(proposal.generated_at),
        "expires_at": time_text(proposal.expires_at),
        "profile_id": str(proposal.profile_id),
        "profile_version": proposal.profile_version,
        "market_at": time_text(proposal.market_at),
        "engine": assessment.engine,
        "synthetic_entry": {
            "price_usdt": decimal_text(assessment.synthetic_entry.price_usdt),
            "quantity": decimal_text(assessment.synthetic_entry.quantity),
            "value_usdt": decimal_text(assessment.synthetic_entry.value_usdt),
        },
        "equity_usdt": decimal_text(assessment.equity_usdt),
        "volatility_pct": decimal_text(assessment.volatility_pct),
        "variants": [_variant_document(variant) for variant in assessment.variants],
        "confidence": {
            "overall_score": decimal_text(assessment.confidence.overall_score),
            "parts": _decimal_texts(assessment.confidence.parts),
        },
        "limits": _decimal_texts(assessment.limits),
    }
    if parse_proposal(document) != proposal:
        raise ValueError(f"proposal {proposal.proposal_id} would be read back as another one; nothing was written")
    return document


def parse_proposal(document: Any) -> Proposal:
    """The proposal that a parsed JSON value holds.

    Raises: `ProposalDamaged` with the place of the first thing that does not fit the schema.
    """
    # First of all: of a document of another version, nothing else that differs is damage.
    if isinstance(document, dict) and document.get("schema_version") != SCHEMA_VERSION:
        found = document.get("schema_version")
        raise ProposalDamaged(
            place="$.schema_version", problem=f"expected version {SCHEMA_VERSION}, found {found!r:.40}"
        )
    whole = _convert(document, _ProposalInDocument, place="$")
    if [variant.name for variant in whole.variants] != list(VariantName):
        wanted = ", ".join(VariantName)
        raise ProposalDamaged(place="$.variants", problem=f"expected {wanted} in this order")
    return Proposal(
        proposal_id=ProposalId(whole.proposal_id),
        command_id=CommandId(whole.command_id),
        asset=whole.asset,
        intent=whole.intent,
        requested_by=whole.requested_by,
        generated_at=_time(whole.generated_at, place="$.generated_at"),
        expires_at=_time(whole.expires_at, place="$.expires_at"),
        profile_id=whole.profile_id,
        profile_version=whole.profile_version,
        market_at=_time(whole.market_at, place="$.market_at"),
        assessment=_assessment(whole),
    )


def _assessment(whole: _ProposalInDocument) -> Assessment:
    conservative, balanced, aggressive = whole.variants
    entry = whole.synthetic_entry
    return Assessment(
        engine=whole.engine,
        synthetic_entry=SyntheticEntry(
            price_usdt=Decimal(entry.price_usdt),
            quantity=Decimal(entry.quantity),
            value_usdt=Decimal(entry.value_usdt),
        ),
        equity_usdt=Decimal(whole.equity_usdt),
        volatility_pct=Decimal(whole.volatility_pct),
        variants=(_variant(conservative), _variant(balanced), _variant(aggressive)),
        confidence=Confidence(
            overall_score=Decimal(whole.confidence.overall_score),
            parts=_decimals(whole.confidence.parts, Score, place="$.confidence.parts"),
        ),
        limits=_decimals(whole.limits, DecimalText, place="$.limits"),
    )


def _variant(variant: _VariantInDocument) -> Variant:
    return Variant(
        name=variant.name,
        allocation_pct=Decimal(variant.allocation_pct),
        allocation_cap_pct=Decimal(variant.allocation_cap_pct),
        position_value_usdt=Decimal(variant.position_value_usdt),
        quantity=Decimal(variant.quantity),
        stop_loss_pct=Decimal(variant.stop_loss_pct),
        stop_loss_price=Decimal(variant.stop_loss_price),
        take_profit_pct=Decimal(variant.take_profit_pct),
        take_profit_price=Decimal(variant.take_profit_price),
        risk_pct=Decimal(variant.risk_pct),
        meets_minimum=variant.meets_minimum,
    )


def _variant_document(variant: Variant) -> dict[str, Any]:
    return {
        "name": VariantName(variant.name).value,
        "allocation_pct": decimal_text(variant.allocation_pct),
        "allocation_cap_pct": decimal_text(variant.allocation_cap_pct),
        "position_value_usdt": decimal_text(variant.position_value_usdt),
        "quantity": decimal_text(variant.quantity),
        "stop_loss_pct": decimal_text(variant.stop_loss_pct),
        "stop_loss_price": decimal_text(variant.stop_loss_price),
        "take_profit_pct": decimal_text(variant.take_profit_pct),
        "take_profit_price": decimal_text(variant.take_profit_price),
        "risk_pct": decimal_text(variant.risk_pct),
        "meets_minimum": variant.meets_minimum,
    }


def _decimal_texts(numbers: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: decimal_text(number) for name, number in numbers.items()}


def _decimals(texts: Mapping[str, Any], text_type: Any, *, place: str) -> Mapping[str, Decimal]:
    numbers = {}
    for name, text in texts.items():
        try:
            msgspec.convert(name, Name, strict=True)
        except msgspec.ValidationError as error:
            raise ProposalDamaged(place=f"{place}, key {name[:64]!r}", problem=str(error)) from error
        numbers[name] = Decimal(_convert(text, text_type, place=f"{place}.{name}"))
    return MappingProxyType(numbers)


def _time(text: str, *, place: str) -> datetime:
    try:
        return time_of(text)
    except ValueError as error:
        raise ProposalDamaged(place=place, problem=f"{text!r} is no instant: {error}") from error


def _convert(value: Any, expected: Any, *, place: str) -> Any:
    try:
        return msgspec.convert(value, expected, strict=True)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        below = re.sub(r"`\$?([^`]*)`", r"\1", where)
        raise ProposalDamaged(place=f"{place}{below}", problem=problem) from error
