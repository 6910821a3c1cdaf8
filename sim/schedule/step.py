"""How a step is called: actor, verb, table or file, and which of its kind it is. Tokens are made of these names."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, unquote

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_WRITE = re.compile(r"\b(insert\s+into|update|delete\s+from|merge\s+into)\s+(?:only\s+)?([\w.\"]+)", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s+(?:only\s+)?([\w.\"]+)", re.IGNORECASE)
_CALLED = re.compile(r"\bselect\s+([\w.]+)\s*\(", re.IGNORECASE)
_NAMED = re.compile(r"^\w+\s+(?:transaction\s+|table\s+|prepared\s+|to\s+savepoint\s+|to\s+)?([\w.\"]+)", re.IGNORECASE)
_LOCKING = re.compile(r"\bfor\s+(no\s+key\s+)?(update|share|key\s+share)\b", re.IGNORECASE)
_CALL = re.compile(r"([\w.]+)\s*\(")
_LISTS = re.compile(r"\b(insert\s+into\s+[\w.\"]+(\s+as\s+\w+)?|on\s+conflict|do\s+update\s+set)\s*\(", re.IGNORECASE)

_LOOKING = re.compile(r"\b(select|table|update)\b", re.IGNORECASE)
_LEVEL = re.compile(r"\b(repeatable\s+read|serializable)\b", re.IGNORECASE)
_KEEPING = re.compile(
    r"\b(set_config|currval|lastval)\b|\binto\s+(local\s+)?temp(orary)?\b|\bpg_(try_)?advisory_lock|(^|;)\s*(?!(begin|start|commit|end|rollback|abort"
    r"|savepoint|release|show|select|values|with|insert|update|delete|merge|lock|truncate|notify)\b)\S",
    re.IGNORECASE,
)
_LOCKING_SESSION = re.compile(r"\bpg_(try_)?advisory_lock", re.IGNORECASE)
_DEFAULT_LEVEL = re.compile(r"\b(default_transaction_isolation|session\s+characteristics)\b", re.IGNORECASE)

_MAKING = ("create", "alter", "drop", "do")
_SELECT_INTO = re.compile(
    r"\binto\s+(?:unlogged\s+)?(?:table\s+)?(?!(?:local\s+)?temp(?:orary)?\b)[\w\"]", re.IGNORECASE
)
_SCHEMA = re.compile(
    r"\b(create|alter|drop)\s+(or\s+replace\s+|unique\s+|unlogged\s+|materialized\s+|event\s+|constraint\s+)?"
    r"(table|index|type|domain|sequence|view|schema|function|procedure|aggregate|trigger|rule|policy|extension)\b",
    re.IGNORECASE,
)
_DROPPING = re.compile(r"drop\s+table\b", re.IGNORECASE)

_SAFE = "/_-"
_PLAIN_CALLS = frozenset(
    {
        *("count", "sum", "min", "max", "avg", "coalesce", "cardinality", "json_typeof", "exists", "in", "now"),
        *(
            "transaction_timestamp",
            "any",
            "all",
            "array",
            "cast",
            "make_interval",
            "values",
            "select",
            "and",
            "or",
            "not",
        ),
        *(
            "array_agg",
            "string_agg",
            "lower",
            "upper",
            "length",
            "abs",
            "greatest",
            "least",
            "nullif",
            "varchar",
            "where",
        ),
        *("numeric", "on", "from", "when", "then", "as", "interval", "row"),
    }
)
"""Words that may stand before a bracket in a statement which only reads; with any other it may do something more."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One step of one actor. `ordinal` counts the actor's steps with this verb and target, from 1."""

    actor: str
    verb: str
    target: str
    ordinal: int = 1

    def __str__(self) -> str:
        return _written(self)

    def tell(self) -> str:
        """The step in plain words."""
        again = f" (number {self.ordinal})" if self.ordinal > 1 else ""
        return f"{self.actor}: {' '.join(word for word in (self.verb, self.target) if word)}{again}"


@lru_cache(maxsize=4096)
def _written(step: Step) -> str:
    words = [quote(step.actor, safe=_SAFE), quote(step.verb, safe=_SAFE)]
    words += [quote(step.target, safe=_SAFE)] if step.target or step.ordinal > 1 else []
    return ":".join([*words, str(step.ordinal)] if step.ordinal > 1 else words)


def read_step(text: str) -> Step:
    """The step that `str` wrote. Raises: `ValueError`."""
    words = [unquote(word) for word in text.split(":")]
    if not 2 <= len(words) <= 4 or not all(words[:2]):
        raise ValueError(f"expected actor:verb[:target[:ordinal]], found {text!r}")
    ordinal = int(words[3]) if len(words) == 4 else 1
    return Step(words[0], words[1], words[2] if len(words) > 2 else "", ordinal)


class Ordinals:
    """Numbers one actor's steps."""

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self._seen: dict[tuple[str, str], int] = {}

    def next(self, verb: str, target: str) -> Step:
        """The actor's next step of that name."""
        ordinal = self._seen[verb, target] = self._seen.get((verb, target), 0) + 1
        return _step_of(self._actor, verb, target, ordinal)


@lru_cache(maxsize=4096)
def _step_of(actor: str, verb: str, target: str, ordinal: int) -> Step:
    return Step(actor, verb, target, ordinal)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement's text says: how its step is called, and whether it does nothing but read."""

    verb: str
    target: str
    only_reads: bool
    isolation: str | None = None
    """The level that it asks for, where that is `repeatable read` or `serializable`."""
    is_script: bool = False
    """It is several statements in one; only the first gives the name."""
    is_blind: bool = False
    """What it writes is in the statement itself: it looks at no row to know."""
    shows_in_rows: bool = False
    """All that it does is seen in the rows that it leaves or locks: it calls nothing that could do more."""
    changes_schema: bool = False
    """It makes, alters or drops something that outlives its session."""
    adds_to_schema: bool = False
    """It changes the schema by making something new, and does nothing else."""
    drops_tables: bool = False
    """It changes the schema by dropping tables, and does nothing else."""
    keeps_in_session: bool = False
    """It may leave something in its session that outlives the transaction: a setting, an advisory lock."""
    locks_session: bool = False
    """It may take a lock that outlives the transaction."""
    sets_default: bool = False
    """Its `isolation` is asked for all transactions to come."""


@lru_cache(maxsize=4096)
def read_statement(text: str) -> Statement:
    """What the text of one SQL statement says. Only names hang on it, and whether a step may be foretold."""
    bare = _COMMENTS.sub(" ", text).strip()
    read = _read(bare)
    if ";" in bare.rstrip("; \n\t"):
        read = replace(read, only_reads=False, is_blind=False, is_script=True, shows_in_rows=False)
    if read.verb == "select" and _SELECT_INTO.search(bare) is not None:
        read = replace(read, only_reads=False, changes_schema=True, adds_to_schema=not read.is_script)
    if (read.is_script or read.verb in _MAKING) and _SCHEMA.search(bare) is not None:
        read = replace(
            read,
            changes_schema=True,
            adds_to_schema=read.verb == "create" and not read.is_script,
            drops_tables=_DROPPING.match(bare) is not None and not read.is_script,
        )
    return replace(
        read,
        keeps_in_session=_KEEPING.search(bare) is not None,
        locks_session=_LOCKING_SESSION.search(bare) is not None,
        sets_default=_DEFAULT_LEVEL.search(bare) is not None,
    )


def _read(bare: str) -> Statement:
    found = _WORD.match(bare)
    verb = found.group().lower() if found else "statement"
    written = _WRITE.search(bare)
    level = _LEVEL.search(bare)
    asked = " ".join(level.group().lower().split()) if level else None
    if verb in ("insert", "update", "delete", "merge", "with") and written is not None:
        is_blind = verb == "insert" and _LOOKING.search(bare) is None
        verb = written.group(1).split()[0].lower()
        shows = _calls(_LISTS.sub(" ", bare)) <= _PLAIN_CALLS
        return Statement(verb, _name(written.group(2)), False, asked, is_blind=is_blind, shows_in_rows=shows)
    if verb in ("select", "with", "values", "table"):
        source, called = _FROM.search(bare), _CALLED.search(bare)
        target = _name(source.group(1)) if source else called.group(1) if called else ""
        if _LOCKING.search(bare):
            return Statement("select-for-update", target, False, asked, shows_in_rows=_calls(bare) <= _PLAIN_CALLS)
        calls = _calls(bare)
        only_reads = verb != "table" and calls <= _PLAIN_CALLS
        return Statement("select", target, only_reads, asked, is_blind=calls == {"pg_notify"} and source is None)
    if verb in ("begin", "commit", "rollback", "start", "end", "abort"):
        back_to = re.search(r"\bto\s+(?:savepoint\s+)?([\w\"]+)", bare, re.IGNORECASE) if verb == "rollback" else None
        names = {"start": "begin", "end": "commit", "abort": "rollback"}
        return Statement(names.get(verb, verb), _name(back_to.group(1)) if back_to else "", False, asked)
    named = _NAMED.match(bare)
    return Statement(verb, _name(named.group(1)) if named else "", False, asked)


def _calls(bare: str) -> set[str]:
    return {name.lower().removeprefix("pg_catalog.") for name in _CALL.findall(bare)}


def _name(written: str) -> str:
    return written.replace('"', "").removeprefix("public.")
