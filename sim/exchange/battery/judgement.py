"""What was seen of a case, compared with what was expected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from sim.exchange.battery.cases import BatteryCase

MAX_WORDS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An answer: HTTP status, the API's code or 0, and the body as JSON values; None where it is none."""

    status: int
    code: int
    body: Any

    @classmethod
    def of(cls, status: int, raw: bytes) -> Self:
        try:
            body = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            body = None
        code = body.get("code", 0) if isinstance(body, dict) and status != 200 else 0
        return cls(status=status, code=code if isinstance(code, int) else 0, body=body)

    @property
    def shape(self) -> str:
        if isinstance(self.body, list):
            lengths = {len(each) if isinstance(each, list) else 0 for each in self.body}
            return f"list of {lengths.pop()}" if len(lengths) == 1 and lengths != {0} else "list"
        return "object" if isinstance(self.body, dict) else "no JSON"

    @property
    def words(self) -> str:
        """Status, and code or shape."""
        return f"{self.status} {self.code or self.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line of the report. `differences` is empty where the exchange answered as expected."""

    number: str
    words: str
    expected: str
    seen: str
    differences: tuple[str, ...]

    @property
    def is_as_expected(self) -> bool:
        return not self.differences

    def told(self) -> dict[str, Any]:
        """The line as plain values."""
        return {
            "number": self.number,
            "what": self.words,
            "expected": self.expected,
            "seen": self.seen,
            "verdict": "as expected" if self.is_as_expected else "differs",
            "differences": list(self.differences),
        }


def judged(case: BatteryCase, seen: Seen, names: Mapping[str, str]) -> Verdict:
    """The verdict on an answer; `names` are what the case's values are filled with."""
    return Verdict(
        number=case.number,
        words=case.words,
        expected=case.expected,
        seen=seen.words,
        differences=tuple(_differences(case, seen, names)),
    )


def not_reached(case: BatteryCase, why: str) -> Verdict:
    """The verdict on a case whose request was not made, or whose end was not reached."""
    return Verdict(
        number=case.number, words=case.words, expected=case.expected, seen="not reached", differences=(why[:MAX_WORDS],)
    )


def _differences(case: BatteryCase, seen: Seen, names: Mapping[str, str]) -> Iterator[str]:
    if seen.status != case.status:
        yield f"status {seen.status}"
    if seen.code != case.code:
        yield f"code {seen.code}"
    if case.shape and seen.shape != case.shape:
        yield f"shape {seen.shape}"
        return
    objects = seen.body if isinstance(seen.body, list) else [seen.body]
    if case.shape and not objects:
        yield "an empty list"
    for each in objects if case.keys is not None else []:
        yield from _key_differences(case, each)
    for each in objects if case.values else []:
        yield from _value_differences(case, each, names)


def _key_differences(case: BatteryCase, found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{type(found).__name__} in place of an object"
        return
    wanted, optional = set(case.keys or ()), set(case.optional)
    missing, surplus = sorted(wanted - optional - set(found)), sorted(set(found) - wanted - optional)
    if missing:
        yield f"missing {', '.join(missing)}"
    if surplus:
        yield f"surplus {', '.join(surplus)[:MAX_WORDS]}"


def _value_differences(case: BatteryCase, found: Any, names: Mapping[str, str]) -> Iterator[str]:
    for name, wanted in case.values.items():
        value = str(found.get(name)) if isinstance(found, dict) else "nothing"
        if value != wanted.format_map(names):
            yield f"{name} {value[:MAX_WORDS]}, expected {wanted.format_map(names)}"
