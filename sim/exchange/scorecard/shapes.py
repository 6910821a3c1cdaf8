"""Shapes of JSON as `tables/published.toml` writes them, and where a value differs from one.

    differences(shape_of("[trade]"), answer)

is empty where keys, their order, nesting and JSON types are those of the shape.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sim.exchange.tables import table

_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?")


class Shape(ABC):
    """What a JSON value may look like."""

    @abstractmethod
    def differences(self, value: Any, at: str) -> Iterator[str]:
        """One sentence for each way in which the value is not so; `at` says where it stands."""

    def names(self) -> Iterator[str]:
        """The keys of all objects in it."""
        yield from ()


@dataclass(frozen=True, slots=True)
class Scalar(Shape):
    """text, decimal, integer, boolean or null."""

    kind: str

    def differences(self, value: Any, at: str) -> Iterator[str]:
        if not _is_a(self.kind, value):
            yield f"{at}: expected {self.kind}, found {_told(value)}"


@dataclass(frozen=True, slots=True)
class Array(Shape):
    """Any number of elements of one shape; at least one, unless it may be empty."""

    element: Shape
    may_be_empty: bool

    def differences(self, value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{at}: expected an array, found {_told(value)}"
        elif not value and not self.may_be_empty:
            yield f"{at}: expected elements, found an empty array"
        else:
            for number, each in enumerate(value):
                yield from self.element.differences(each, f"{at}[{number}]")

    def names(self) -> Iterator[str]:
        yield from self.element.names()


@dataclass(frozen=True, slots=True)
class Fixed(Shape):
    """An array of so many elements, each of its own shape."""

    elements: Sequence[Shape]

    def differences(self, value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) != len(self.elements):
            yield f"{at}: expected an array of {len(self.elements)}, found {_told(value)}"
            return
        for number, (shape, each) in enumerate(zip(self.elements, value, strict=True)):
            yield from shape.differences(each, f"{at}[{number}]")


@dataclass(frozen=True, slots=True)
class Either(Shape):
    """One of several shapes."""

    shapes: Sequence[Shape]

    def differences(self, value: Any, at: str) -> Iterator[str]:
        found = [list(shape.differences(value, at)) for shape in self.shapes]
        if all(found):
            yield min(found, key=len)[0]


@dataclass(frozen=True, slots=True)
class Object(Shape):
    """Keys in order, and `conditional` ones that may stand anywhere; `optional` ones may be missing."""

    fields: Mapping[str, Shape]
    optional: frozenset[str]
    conditional: Mapping[str, Shape]

    def differences(self, value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{at}: expected an object, found {_told(value)}"
            return
        for name in (*self.fields, *self.conditional):
            if name not in value and name not in self.optional:
                yield f"{at}.{name}: is missing"
        known = [name for name in value if name in self.fields]
        expected = [name for name in self.fields if name in value]
        if known != expected:
            first = next(name for name, wanted in zip(known, expected, strict=True) if name != wanted)
            yield f"{at}.{first}: stands elsewhere; expected the order {' '.join(expected)}"
        for name, each in value.items():
            shape = self.fields.get(name) or self.conditional.get(name)
            if shape is None:
                yield f"{at}.{name}: is not published"
            else:
                yield from shape.differences(each, f"{at}.{name}")

    def names(self) -> Iterator[str]:
        for name, shape in {**self.conditional, **self.fields}.items():
            yield name
            yield from shape.names()


@dataclass(frozen=True, slots=True)
class AnyFilter(Shape):
    """A filter: its type says which keys it has."""

    def differences(self, value: Any, at: str) -> Iterator[str]:
        kind = value.get("filterType") if isinstance(value, dict) else None
        if kind not in table("published.toml")["filter"]:
            yield f"{at}: expected a published filter, found {_told(value)}"
        else:
            yield from filter_shape(str(kind)).differences(value, f"{at}({kind})")

    def names(self) -> Iterator[str]:
        for kind in table("published.toml")["filter"]:
            yield from filter_shape(kind).names()


def _is_a(kind: str, value: Any) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "decimal":
            return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return value is None


_SCALARS: Final = frozenset({"text", "decimal", "integer", "boolean", "null"})


def _told(value: Any) -> str:
    """What the value is, and no more of it than fits a line."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


@cache
def shape_of(written: str) -> Shape:
    """The shape that this text of the table stands for. Raises KeyError for a name that is not there."""
    if "|" in written:
        return Either([shape_of(each) for each in written.split("|")])
    if written.startswith("["):
        return Array(shape_of(written.rstrip("*")[1:-1]), may_be_empty=written.endswith("*"))
    if written in _SCALARS:
        return Scalar(written)
    if written == "filter":
        return AnyFilter()
    published = table("published.toml")
    if written in published["tuple"]:
        return Fixed([shape_of(each) for each in published["tuple"][written].split()])
    found: Any = published["object"]
    for part in written.split("."):
        found = found[part]
    return _object(found)


@cache
def filter_shape(kind: str) -> Shape:
    """The shape of filters of that type. Raises KeyError."""
    return _object(table("published.toml")["filter"][kind])


def _object(written: str) -> Object:
    words = written.split()
    fields = [word.partition(":") for word in words if not word.startswith("+")]
    groups = [_object(table("published.toml")["conditional"][word[1:]]) for word in words if word.startswith("+")]
    optional = {name.rstrip("?") for name, _, _ in fields if name.endswith("?")}
    return Object(
        fields={name.rstrip("?"): shape_of(shape) for name, _, shape in fields},
        optional=frozenset(optional.union(*(group.optional for group in groups))),
        conditional={name: shape for group in groups for name, shape in group.fields.items()},
    )


def differences(shape: Shape, value: Any) -> list[str]:
    """One sentence for each way in which the answer is not of that shape."""
    return list(shape.differences(value, "answer"))
