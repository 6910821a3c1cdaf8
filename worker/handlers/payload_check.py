"""What every handler checks again before it acts: it trusts nothing that a service checked.

The order is part of the contract with other implementations: guard, checksum, version, schema, expiry, subject and
requester. Source: contract §5, §7, §9.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from worker.contracts.canonical_json import checksum, number_or_kind
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import Payload, read_payload
from worker.contracts.states import TESTNET
from worker.guards.freshness import is_expired, require_expiry_agreement
from worker.guards.network import require_testnet_payload
from worker.handlers.outcome import Assignment

P = TypeVar("P", bound=Payload)


def check_payload(assignment: Assignment, payload_type: type[P]) -> P:
    """The payload, once guard, checksum, version, schema and agreement with the command's row hold.

    Raises: `Refusal` with the first of these that does not.
    """
    fields, command = assignment.fields, assignment.command
    require_testnet_payload(fields)
    if command.environment != TESTNET:
        raise Refusal(
            Reason.ENVIRONMENT_NOT_TESTNET,
            f"command {command.command_id} stands in environment {command.environment!r}, expected 'testnet'",
        )
    require_checksum(fields)
    if "profile_version" in payload_type.__struct_fields__:
        profile_version(fields)
    payload = read_payload(payload_type, fields)
    require_expiry_agreement(fields["expires_at"], command.expires_at)
    subject = assignment.spec.subject_of(payload)
    if subject != command.subject:
        raise Refusal(
            Reason.SUBJECT_MISMATCH,
            f"command {command.command_id} has subject {command.subject[:64]!r}, its payload is about {subject[:64]!r}",
        )
    if payload.requested_by != command.requested_by and command.requested_by is not None:
        raise Refusal(
            Reason.REQUESTER_MISMATCH,
            f"command {command.command_id} was requested by user {command.requested_by}, "
            f"its payload says {payload.requested_by}",
        )
    return payload


def require_unexpired(assignment: Assignment) -> None:
    """Nothing while the command may still run.

    Raises: `Refusal` (`expiry/command_expired`) from the expiry instant on.
    """
    command = assignment.command
    if is_expired(assignment.now, command.expires_at):
        raise Refusal(
            Reason.COMMAND_EXPIRED,
            f"command {command.command_id} expired at {command.expires_at} and ran at {assignment.now}; "
            "request it again",
        )


def require_checksum(fields: Mapping[str, Any]) -> None:
    """Nothing when the payload's checksum is that of its content. It finds drift, not an attacker.

    Raises: `Refusal` (`validation/checksum_mismatch`); a payload without a checksum is left to the schema.
    """
    stated = fields.get("checksum")
    if not isinstance(stated, str):
        return
    found = checksum(fields)
    if stated != found:
        raise Refusal(
            Reason.CHECKSUM_MISMATCH,
            f"payload says checksum {stated[:12]}…, its content has {found[:12]}…; make the command again",
        )


def profile_version(fields: Mapping[str, Any]) -> int:
    """The profile version, under its name `profile_version` or the older `version`.

    Raises: `Refusal` (`validation/missing_or_bad_version`) for neither, both and unequal, or no positive integer.
    """
    named = {name: fields[name] for name in ("profile_version", "version") if name in fields}
    values = list(named.values())
    well_formed = all(type(value) is int and value >= 1 for value in values)
    if not values or not well_formed or any(value != values[0] for value in values):
        raise Refusal(
            Reason.MISSING_OR_BAD_VERSION,
            "expected one positive integer under 'profile_version' (or the older 'version'), "
            f"found {', '.join(f'{name}: {number_or_kind(value)}' for name, value in named.items()) or 'neither'}",
        )
    return int(values[0])
