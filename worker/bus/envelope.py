"""Opens a claimed command: which type it is, and its payload as an object. Source: contract §4 ("broken envelope")."""

from collections.abc import Mapping
from typing import Any

from worker.contracts.canonical_json import kind_of, parse
from worker.contracts.commands import CommandSpec, spec_for
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import MAX_PAYLOAD_BYTES
from worker.db.bus_store import ClaimedCommand


def open_envelope(command: ClaimedCommand) -> tuple[CommandSpec, Mapping[str, Any]]:
    """The registry entry of the command's type, and its payload's fields.

    Raises: `Refusal` for an unknown type, and for a payload that is too large, malformed, or no object.
    """
    spec = spec_for(command.command_type)
    if spec is None:
        raise Refusal(
            Reason.UNKNOWN_COMMAND_TYPE,
            f"command {command.command_id} has type {command.command_type[:64]!r}, which this worker does not know; "
            "update the worker or remove the producer",
        )
    if command.payload is None:
        raise Refusal(
            Reason.PAYLOAD_TOO_LARGE,
            f"command {command.command_id} has a payload of {command.payload_bytes} bytes, "
            f"expected at most {MAX_PAYLOAD_BYTES}; make the command through its service",
        )
    fields = parse(command.payload)
    if not isinstance(fields, dict):
        raise Refusal(
            Reason.PAYLOAD_NOT_OBJECT,
            f"command {command.command_id} has a payload that is {kind_of(fields)}, expected an object; "
            "make the command through its service",
        )
    return spec, fields
