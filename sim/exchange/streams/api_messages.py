"""Requests of the WebSocket API as text, and what their signatures sign.

Numbers keep the digits they were sent with. Parameters go on as a query, so that the checks of the REST API read them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from sim.exchange.refusals import ApiError


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiMessage:
    """One request. `raw_id` is its id as JSON; `parameters` are text by name, those that were null left out."""

    raw_id: str
    method: str
    parameters: Mapping[str, str]

    @property
    def signed_text(self) -> str:
        """All parameters but the signature, sorted by name, as UTF-8 text that is not percent-encoded."""
        return "&".join(f"{name}={self.parameters[name]}" for name in sorted(self.parameters) if name != "signature")

    def query(self, *, without: frozenset[str]) -> str:
        """The parameters as a query, in the order in which they were sent."""
        return "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in self.parameters.items()
            if name not in without
        )


class MessageRefusedError(Exception):
    """A text that is no request; `raw_id` is the id of the answer, as JSON."""

    def __init__(self, error: ApiError, raw_id: str = "null") -> None:
        super().__init__(str(error))
        self.error = error
        self.raw_id = raw_id


def read_message(text: str) -> ApiMessage:
    """The request in a text frame. Raises MessageRefusedError."""
    try:
        given = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_no_number)
        # What JSON escapes can write and UTF-8 cannot is no text.
        json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MessageRefusedError(ApiError("invalid_json_request")) from error
    if not isinstance(given, dict):
        raise MessageRefusedError(ApiError("invalid_json_request"))
    raw_id = _raw_id(given)
    method, parameters = given.get("method"), given.get("params")
    if not isinstance(method, str) or isinstance(method, Number):
        raise MessageRefusedError(ApiError("invalid_method"), raw_id)
    if not isinstance(parameters, dict | None):
        raise MessageRefusedError(ApiError("params_not_object"), raw_id)
    sent = {name: _text(value) for name, value in (parameters or {}).items() if value is not None}
    return ApiMessage(raw_id=raw_id, method=method.removeprefix("v3/"), parameters=sent)


def _raw_id(given: Mapping[str, Any]) -> str:
    found = given.get("id")
    if "id" not in given or not isinstance(found, str | None):
        raise MessageRefusedError(ApiError("invalid_id"))
    if isinstance(found, Number):
        if not found.lstrip("-").isdecimal():
            raise MessageRefusedError(ApiError("invalid_id"))
        return str(found)
    return msgspec.json.encode(found).decode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
