"""What is checked before a command is run, in the order that every worker checks it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.foreign_worker.bus import Command
from tests.foreign_worker.canonical import Refused, checksum
from tests.foreign_worker.documents import ASSET, is_uuid
from tests.foreign_worker.settings import Connection

VERSION_NAMES = ("profile_version", "version")
MAX_HOLDINGS = 500

_EXPIRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One running command: where, since when (database time), and its payload's fields."""

    connection: Connection
    home: Path
    command: Command
    fields: Mapping[str, Any]
    now: datetime


def check_payload(job: Job, further: Mapping[str, Callable[[Any], bool]], subject: Callable[[Any], str]) -> None:
    """Nothing when guard, checksum, version, schema, expiry, subject and requester hold, judged in this order.

    Raises: `Refused`.
    """
    fields, command = job.fields, job.command
    if fields.get("environment") != "testnet" or command.environment != "testnet":
        raise Refused("guard/environment_not_testnet", "environment must be 'testnet'")
    if fields.get("dry_run") is not True:
        raise Refused("guard/dry_run_required", "dry_run must be true")
    if fields.get("exchange_connection_id", "absent") is not None:
        raise Refused("guard/exchange_connection_not_allowed", "exchange_connection_id must be present and null")
    stated = fields.get("checksum")
    if isinstance(stated, str) and stated != checksum(fields):
        raise Refused("validation/checksum_mismatch", "the payload's checksum is not that of its content")
    if "profile_version" in further:
        profile_version(fields)
    _require_schema(fields, {**_EVERY_PAYLOAD, **further})
    _require_expiry(fields["expires_at"], command.expires_at)
    if subject(fields) != command.subject:
        raise Refused("validation/subject_mismatch", "the payload is about another subject than its row")
    if command.requested_by is not None and fields["requested_by"] != command.requested_by:
        raise Refused("validation/requester_mismatch", "the payload was requested by another user than its row")


def profile_version(fields: Mapping[str, Any]) -> int:
    """The profile version under either of its names.

    Raises: `Refused` (`validation/missing_or_bad_version`).
    """
    found = [fields[name] for name in VERSION_NAMES if name in fields]
    if not found or any(type(value) is not int or value < 1 or value != found[0] for value in found):
        raise Refused(
            "validation/missing_or_bad_version", f"expected one positive integer under {' or '.join(VERSION_NAMES)}"
        )
    return int(found[0])


def _require_schema(fields: Mapping[str, Any], shape: Mapping[str, Callable[[Any], bool]]) -> None:
    problems = [f"{name} is missing" for name in shape if name not in fields and name not in VERSION_NAMES]
    problems += [f"{name} does not fit" for name in shape if name in fields and not shape[name](fields[name])]
    unknown = len(fields.keys() - shape.keys())
    problems += [f"{unknown} unknown field(s)"] if unknown else []
    if problems:
        raise Refused("validation/schema_violation", "; ".join(problems))


def _require_expiry(stated: str | None, expires_at: datetime | None) -> None:
    parsed = None
    if stated is not None:
        try:
            parsed = datetime.fromisoformat(stated).astimezone(UTC) if _EXPIRY.fullmatch(stated) else None
        except ValueError:
            parsed = None
    if (stated is None) != (expires_at is None) or parsed != expires_at:
        raise Refused("validation/expiry_mismatch", "the payload's expires_at is not its row's")


def require_unexpired(now: datetime, command: Command) -> None:
    """Nothing before the expiry instant. Raises: `Refused` (`expiry/command_expired`)."""
    if command.expires_at is not None and now >= command.expires_at:
        raise Refused("expiry/command_expired", f"it expired at {command.expires_at} and ran at {now}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_holdings(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= MAX_HOLDINGS and all(map(_is_holding, value))


def _is_holding(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"asset", "quantity"}
        and _is_text(value["asset"])
        and ASSET.fullmatch(value["asset"]) is not None
        and _is_number(value["quantity"])
    )


_EVERY_PAYLOAD: Mapping[str, Callable[[Any], bool]] = {
    "requested_by": lambda value: value is None or type(value) is int,
    "dry_run": lambda value: isinstance(value, bool),
    "environment": _is_text,
    "exchange_connection_id": lambda value: value is None,
    "checksum": lambda value: _is_text(value) and _CHECKSUM.fullmatch(value) is not None,
    "expires_at": lambda value: value is None or _is_text(value),
}
PROFILE_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "profile_id": is_uuid,
    "profile_version": lambda value: type(value) is int,
    "version": lambda value: type(value) is int,
    "config_summary": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "risk_settings": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
}
BASELINE_FIELDS: Mapping[str, Callable[[Any], bool]] = {"holdings": _is_holdings}
