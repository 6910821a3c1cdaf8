"""Reads parameters: which names an operation takes, and what their text may look like. The rules stand in tables."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any
from urllib.parse import unquote_plus

from sim.exchange.refusals import ApiError
from sim.exchange.tables import table

Values = Mapping[str, Any]
"""Parameters by the name the double uses, read: str, int, bool, Decimal, or a list of str for `symbols`."""
Reader = Callable[[str, str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an operation. `wire` is its name in a request, `name` the one in tables and code."""

    name: str
    wire: str
    mandatory: bool
    read: Reader


def split_pairs(raw: str) -> dict[str, str]:
    """The pairs of a query or a form by name, still percent-encoded; empty pieces are left out.

    Raises ApiError `duplicate_parameter` for a name that comes twice.
    """
    found: dict[str, str] = {}
    number = 0
    for piece in raw.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            found[name] = value
            number += 1
    if len(found) != number:
        raise ApiError("duplicate_parameter")
    return found


def merged_pairs(method: str, query: str, body: str) -> dict[str, str]:
    """All parameters sent, by name. The query wins over the body, and a GET has no body.

    Raises ApiError `duplicate_parameter` for a name that comes twice in the query, or twice in the body.
    """
    sent = split_pairs(query) if query else {}
    return {**split_pairs(body), **sent} if body and method != "GET" else sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The parameters of an operation by wire name, and the names of those that must be sent."""

    by_wire: Mapping[str, Parameter]
    mandatory: tuple[str, ...]


def read_parameters(accepted: Accepted, sent: Mapping[str, str]) -> dict[str, Any]:
    """The values of the pairs that were sent, by the double's own names.

    Raises ApiError for too many, missing, empty, malformed or unknown ones: in this order.
    """
    by_wire = accepted.by_wire
    if len(sent) > len(by_wire):
        raise ApiError("too_many_parameters", len(by_wire), len(sent))
    for wire in accepted.mandatory:
        if not sent.get(wire):
            raise ApiError("mandatory_parameter", wire)
    values = {}
    for wire, raw in sent.items():
        parameter = by_wire.get(wire)
        if parameter is None:
            continue
        if not raw:
            raise ApiError("empty_parameter", wire)
        values[parameter.name] = parameter.read(wire, _decoded(wire, raw) if "%" in raw or "+" in raw else raw)
    if len(values) != len(sent):
        raise ApiError("unread_parameters", len(values), len(sent))
    return values


def _decoded(name: str, raw: str) -> str:
    # A signature is base64, in which a plus sign is a letter.
    if name == "signature":
        raw = raw.replace("+", "%2B")
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise ApiError("illegal_characters_somewhere") from error


@cache
def parameter(name: str, *, mandatory: bool) -> Parameter:
    """The parameter of that name in the tables. Raises KeyError where it is not there."""
    rules = table("parameters.toml")
    wire = rules["wire"].get(name, name)
    return Parameter(name=name, wire=wire, mandatory=mandatory, read=_reader(rules["parameters"][name]))


# Clients send few different symbols and amounts; what was read once need not be read again.
_OFTEN_THE_SAME = frozenset({"symbol", "decimal"})


def _reader(kind: str | Mapping[str, Any]) -> Reader:
    if not isinstance(kind, str):
        return _among(frozenset(kind["among"]), kind["error"])
    rule = table("parameters.toml")["kind"][kind]
    matches = re.compile(rule["pattern"]).fullmatch
    legal: str = rule["legal"]
    convert: Callable[[str, str], Any] = _CONVERSIONS[kind]
    largest: int | None = rule.get("max")

    def read(name: str, text: str) -> Any:
        if not matches(text):
            raise ApiError("illegal_characters", name, legal)
        value = convert(name, text)
        if largest is not None and value > largest:
            raise ApiError("parameter_overflow", name)
        return value

    return lru_cache(maxsize=4096)(read) if kind in _OFTEN_THE_SAME else read


def _among(allowed: frozenset[str], error: str) -> Reader:
    def read(name: str, text: str) -> str:
        if text not in allowed:
            raise ApiError(error, *([name] if error == "invalid_value" else []))
        return text

    return read


def _symbols(name: str, text: str) -> list[str]:
    """A JSON array of distinct, well-formed symbols."""
    legal = table("parameters.toml")["kind"]["symbols"]["legal"]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError("illegal_characters", name, legal) from error
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise ApiError("illegal_characters", name, legal)
    read_one = parameter("symbol", mandatory=False).read
    for each in found:
        read_one(name, each)
    if len(set(found)) != len(found):
        raise ApiError("duplicate_symbols")
    return found


_CONVERSIONS: Mapping[str, Callable[[str, str], Any]] = {
    "symbol": lambda _, text: text,
    "decimal": lambda _, text: Decimal(text),
    "long": lambda _, text: int(text),
    "integer": lambda _, text: int(text),
    "client_id": lambda _, text: text,
    "boolean": lambda _, text: text.lower() == "true",
    "text": lambda _, text: text,
    "symbols": _symbols,
}


def named_parameters(names: Sequence[str]) -> Accepted:
    """Parameters from a list of the table, where a `!` marks the mandatory ones."""
    found = [parameter(name.rstrip("!"), mandatory=name.endswith("!")) for name in names]
    return Accepted(
        by_wire={each.wire: each for each in found}, mandatory=tuple(each.wire for each in found if each.mandatory)
    )
