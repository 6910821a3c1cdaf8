"""The registry: for each command type its payload, subject, expiry and audit words.

Services and worker read this one registry, so a producer cannot drift from its consumer. Source: contract §4, §5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NewType, cast
from uuid import UUID

from worker.contracts import payloads

CommandId = NewType("CommandId", UUID)
UserId = NewType("UserId", int)

BASELINE_SUBJECT = "baseline"
"""The subject of every `apply_baseline_holdings`; no asset and no profile has this name."""


class CommandType(StrEnum):
    """The ten things an operator, or the bot, can ask the worker to do."""

    APPLY_PROFILE_TESTNET = "apply_profile_testnet"
    APPLY_BASELINE_HOLDINGS = "apply_baseline_holdings"
    REQUEST_MANAGED_PROPOSAL = "request_managed_proposal"
    APPROVE_MANAGED_PROPOSAL = "approve_managed_proposal"
    REJECT_MANAGED_PROPOSAL = "reject_managed_proposal"
    PAUSE_MANAGED_ASSET = "pause_managed_asset"
    RESUME_MANAGED_ASSET = "resume_managed_asset"
    RELEASE_MANAGED_ASSET = "release_managed_asset"
    FLAG_MANAGED_DRIFT = "flag_managed_drift"
    DRY_RUN_PROMOTE_MANAGED = "dry_run_promote_managed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """What is fixed about one command type.

    `version` is the payload version this code writes and reads. `expires_after` is measured from the database clock
    in the service's transaction; None means the command itself never expires. `changes_files` says whether its
    handler takes the home lock.
    """

    command_type: CommandType
    version: int
    payload_type: type[payloads.Payload]
    subject_of: Callable[[payloads.Payload], str]
    expires_after: timedelta | None
    audit_prefix: str
    requested_event: str
    changes_files: bool


def _asset(payload: payloads.Payload) -> str:
    return cast(payloads.PauseAsset, payload).asset


def _profile(payload: payloads.Payload) -> str:
    return str(cast(payloads.ApplyProfile, payload).profile_id)


def _baseline(_payload: payloads.Payload) -> str:
    return BASELINE_SUBJECT


def _managed(
    command_type: CommandType,
    payload_type: type[payloads.Payload],
    event: str,
    *,
    expires_after: timedelta | None = None,
    changes_files: bool = True,
) -> CommandSpec:
    return CommandSpec(
        command_type=command_type,
        version=1,
        payload_type=payload_type,
        subject_of=_asset,
        expires_after=expires_after,
        audit_prefix="managed",
        requested_event=f"managed.{event}",
        changes_files=changes_files,
    )


_SPECS = (
    CommandSpec(
        command_type=CommandType.APPLY_PROFILE_TESTNET,
        version=1,
        payload_type=payloads.ApplyProfile,
        subject_of=_profile,
        expires_after=timedelta(minutes=5),
        audit_prefix="profile.apply",
        requested_event="profile.apply.dry_run_requested",
        changes_files=False,
    ),
    CommandSpec(
        command_type=CommandType.APPLY_BASELINE_HOLDINGS,
        version=1,
        payload_type=payloads.ApplyBaseline,
        subject_of=_baseline,
        expires_after=timedelta(minutes=5),
        audit_prefix="baseline",
        requested_event="baseline.apply_requested",
        changes_files=True,
    ),
    _managed(CommandType.REQUEST_MANAGED_PROPOSAL, payloads.RequestProposal, "asset_proposal_requested"),
    _managed(CommandType.APPROVE_MANAGED_PROPOSAL, payloads.ApproveProposal, "asset_approval_requested"),
    _managed(CommandType.REJECT_MANAGED_PROPOSAL, payloads.RejectProposal, "asset_rejection_requested"),
    _managed(CommandType.PAUSE_MANAGED_ASSET, payloads.PauseAsset, "asset_pause_requested"),
    _managed(
        CommandType.RESUME_MANAGED_ASSET,
        payloads.ResumeAsset,
        "asset_resume_requested",
        expires_after=timedelta(minutes=15),
    ),
    _managed(CommandType.RELEASE_MANAGED_ASSET, payloads.ReleaseAsset, "asset_release_requested"),
    _managed(CommandType.FLAG_MANAGED_DRIFT, payloads.FlagDrift, "asset_drift_flag_requested"),
    _managed(
        CommandType.DRY_RUN_PROMOTE_MANAGED,
        payloads.PromoteDryRun,
        "promotion_dry_run_requested",
        expires_after=timedelta(minutes=5),
        changes_files=False,
    ),
)

REGISTRY: Mapping[CommandType, CommandSpec] = MappingProxyType({spec.command_type: spec for spec in _SPECS})
"""One entry per `CommandType`, all ten."""

_BY_NAME = {spec.command_type.value: spec for spec in _SPECS}


def spec_for(command_type: str) -> CommandSpec | None:
    """The registry entry of `command_type`, or None for a type nobody knows."""
    return _BY_NAME.get(command_type)


def understood_versions() -> dict[str, int]:
    """The content of a `command_bus_versions.json` that this code understands in full."""
    return {spec.command_type.value: spec.version for spec in _SPECS}


def payload_fields(payload: payloads.Payload) -> dict[str, Any]:
    """`payload` as the plain fields that are signed and stored; unset version aliases are left out."""
    fields: dict[str, Any] = {}
    for name in payload.__struct_fields__:
        value = getattr(payload, name)
        if name in ("profile_version", "version") and value is None:
            continue
        fields[name] = _plain(value)
    return fields


def _plain(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case payloads.Holding():
            return {"asset": value.asset, "quantity": value.quantity}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
