"""The payload of each command type as a typed, frozen structure, and the one way to read it.

Source: contract §5. Money, quantities and percentages are JSON numbers read as `Decimal` (or `int`), never floats.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec

from worker.contracts.errors import Reason, Refusal

MAX_PAYLOAD_BYTES = 65_536
"""The largest payload that is read; the largest real one is under 4 kB."""

Number = int | Decimal
Asset = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z0-9]{2,32}\Z")]
Checksum = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Share = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every payload carries. `expires_at` is ISO 8601 in UTC, or null where the type has no expiry.

    The schema knows no other environment than the testnet and no exchange connection, whatever the guard before it
    lets pass; `dry_run` can only be true. Source: contract §9.
    """

    requested_by: int | None
    dry_run: bool
    environment: Annotated[str, msgspec.Meta(pattern=r"\Atestnet\Z")]
    exchange_connection_id: None
    checksum: Checksum
    expires_at: str | None


class ApplyProfile(Payload, frozen=True, kw_only=True):
    """`apply_profile_testnet`. `config_summary` and `risk_settings` are for people; the database decides."""

    profile_id: UUID
    profile_version: int | None = None
    version: int | None = None
    config_summary: dict[str, str]
    risk_settings: dict[str, Number]


class Holding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of one asset is held; `quantity` in units of the asset."""

    asset: Asset
    quantity: Number


class ApplyBaseline(Payload, frozen=True, kw_only=True):
    """`apply_baseline_holdings`."""

    holdings: Annotated[list[Holding], msgspec.Meta(min_length=1, max_length=500)]


class RequestProposal(Payload, frozen=True, kw_only=True):
    """`request_managed_proposal`."""

    proposal_id: UUID
    asset: Asset
    intent: Text


class ApproveProposal(Payload, frozen=True, kw_only=True):
    """`approve_managed_proposal`."""

    proposal_id: UUID
    asset: Asset
    variant: Share
    overrides: dict[str, Number]
    hard_confirm: Text
    confidence_override: bool


class RejectProposal(Payload, frozen=True, kw_only=True):
    """`reject_managed_proposal`."""

    proposal_id: UUID
    asset: Asset
    reason: Text


class PauseAsset(Payload, frozen=True, kw_only=True):
    """`pause_managed_asset`."""

    asset: Asset


class ResumeAsset(Payload, frozen=True, kw_only=True):
    """`resume_managed_asset`."""

    asset: Asset


class ReleaseAsset(Payload, frozen=True, kw_only=True):
    """`release_managed_asset`."""

    asset: Asset
    strategy: Annotated[str, msgspec.Meta(pattern=r"\A(keep_frozen|return_to_baseline)\Z")]


class FlagDrift(Payload, frozen=True, kw_only=True):
    """`flag_managed_drift`: the bot's evidence that its holding differs from the expected one."""

    asset: Asset
    expected: Number
    found: Number
    generation: int


class PromoteDryRun(Payload, frozen=True, kw_only=True):
    """`dry_run_promote_managed`."""

    asset: Asset
    proposal_id: UUID
    variant: Share


P = TypeVar("P", bound=Payload)

MAX_PROBLEM_CHARS = 200
"""How much of one problem is told; all of it may be the payload's own text."""


def read_payload(payload_type: type[P], fields: Mapping[str, Any]) -> P:
    """`fields` as a `payload_type`.

    Raises: `Refusal` (`validation/schema_violation`) naming every unknown, missing and ill-typed field at once.
    """
    declared = {field.name: field for field in msgspec.structs.fields(payload_type)}
    problems = [f"unknown field {name[:64]!r}" for name in fields if name not in declared]
    for name, field in declared.items():
        if name not in fields:
            problems += [f"missing field {name!r}"] if field.required else []
            continue
        try:
            msgspec.convert(fields[name], field.type, builtin_types=(Decimal,))
        except msgspec.ValidationError as error:
            # The validator's text repeats keys of the payload whole: a long one, or one with a line break, stays out.
            problems.append(f"field {name!r}: {ascii(str(error))[1:-1][:MAX_PROBLEM_CHARS]}")
    if fields.get("dry_run") is False:
        problems.append("field 'dry_run': Expected `true`, got `false`")
    if problems:
        raise Refusal(
            Reason.SCHEMA_VIOLATION,
            f"{payload_type.__name__} payload has {len(problems)} problem(s): {'; '.join(problems[:20])}",
        )
    return msgspec.convert(dict(fields), payload_type, builtin_types=(Decimal,))
