"""The operations of the REST API, compiled from `tables/operations.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sim.exchange.parameters import Accepted, named_parameters
from sim.exchange.tables import table
from sim.exchange.weights import RULES

Route = tuple[str, str]
"""Method and path."""

SIGNED = frozenset({"USER_DATA", "TRADE", "USER_STREAM"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One operation. `free`: it weighs nothing when it succeeds. `supported`: else it is refused by name."""

    name: str
    method: str
    path: str
    security: str
    weight_rule: int | str
    free: bool
    parameters: Accepted
    default_limit: int
    max_limit: int
    supported: bool = True
    is_signed: bool = field(init=False)
    needs_key: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_signed", self.security in SIGNED)
        object.__setattr__(self, "needs_key", self.security != "NONE")

    def weight(self, sent: Mapping[str, str]) -> int:
        """What a request with these raw parameters weighs, whether it succeeds or not."""
        return self.weight_rule if isinstance(self.weight_rule, int) else RULES[self.weight_rule](sent)


def compiled(name: str, entry: Mapping[str, Any], tables: Mapping[str, Any]) -> Operation:
    """The operation of an entry of a table; `tables` holds the lists of parameters that entries refer to."""
    method, path = entry["route"].split(" ")
    security = entry.get("security", "NONE")
    base = tables[entry["base"]]["parameters"] if "base" in entry else []
    signed = tables["signed"]["parameters"] if security in SIGNED else []
    limit = entry.get("limit", {"default": 0, "max": 0})
    return Operation(
        name=name,
        method=method,
        path=path,
        security=security,
        weight_rule=entry["weight"],
        free=entry.get("free", False),
        parameters=named_parameters([*base, *entry.get("parameters", []), *signed]),
        default_limit=limit["default"],
        max_limit=limit["max"],
    )


def refused_operation(route: str, weight: int) -> Operation:
    """An operation that is known and not supported."""
    method, path = route.split(" ")
    return Operation(
        name=route,
        method=method,
        path=path,
        security="NONE",
        weight_rule=weight,
        free=False,
        parameters=named_parameters([]),
        default_limit=0,
        max_limit=0,
        supported=False,
    )


@cache
def operations() -> Mapping[Route, Operation]:
    """Every operation that the double knows, the refused ones included."""
    tables = table("operations.toml")
    known = [compiled(name, entry, tables) for name, entry in tables["operation"].items()]
    known += [refused_operation(route, tables["later"]["weight"]) for route in tables["later"]["routes"]]
    return {(each.method, each.path): each for each in known}


@cache
def operation_named(name: str) -> Operation:
    """The operation of that name in the table. Raises KeyError."""
    return {each.name: each for each in operations().values()}[name]


@cache
def known_paths() -> frozenset[str]:
    return frozenset(path for _, path in operations())
