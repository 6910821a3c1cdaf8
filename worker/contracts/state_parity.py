"""Whether another code base, the GUI's say, knows the same ten states of managed holdings.

Source: contract §8 ("One enum; the database, the reader and the GUI must agree with it"), §10 (SR-9, SR-10).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from worker.contracts.canonical_json import kind_of, parse
from worker.contracts.errors import Refusal
from worker.contracts.states import ManagedState

MAX_CHARS = 65_536
"""A list of ten states takes a few hundred."""

MAX_SHOWN = 20


def exported_states(text: str) -> tuple[str, ...]:
    """The states that `text`, exported from another code base, lists, in its order; not checked against ours.

    Shape: a JSON array of strings, a JSON object whose values are strings (an enum by name), or one state per line,
    where blank lines and lines that begin with `#` count for nothing.
    Raises: `ValueError` for anything else, and for a list of none.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"expected at most {MAX_CHARS} characters, found {len(text)}")
    content = text.strip()
    found = _from_json(content) if content[:1] in ("[", "{") else _from_lines(content)
    if not found:
        raise ValueError("expected a list of states, found none")
    return tuple(found)


def parity_problems(exported: Iterable[str]) -> tuple[str, ...]:
    """Each state that `exported` lacks, knows beyond ours, or names twice; letter case and blanks count.

    None when it names exactly the ten, in any order.
    """
    found = Counter(exported)
    known = {state.value for state in ManagedState}
    problems = [f"lacks {state.value}" for state in ManagedState if state.value not in found]
    problems += [f"knows {state[:64]!r}, which is no state" for state in found if state not in known]
    problems += [f"names {state[:64]!r} {times} times" for state, times in found.items() if times > 1]
    return tuple(problems[:MAX_SHOWN])


def _from_json(content: str) -> list[str]:
    try:
        value: Any = parse(content)
    except Refusal as refusal:
        raise ValueError(refusal.message) from refusal
    states = list(value.values()) if isinstance(value, dict) else value
    strangers = [kind_of(state) for state in states if not isinstance(state, str)]
    if strangers:
        raise ValueError(f"expected states as strings, found {strangers[0]}")
    return list(states)


def _from_lines(content: str) -> list[str]:
    lines = [line.strip() for line in content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
