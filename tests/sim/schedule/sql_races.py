"""Small races of SQL alone, one for each way in which transactions meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

TABLES = (
    "DROP TABLE IF EXISTS lines, accounts",
    "CREATE TABLE accounts (id int PRIMARY KEY, v int NOT NULL)",
    "CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "account int NOT NULL REFERENCES accounts, word text UNIQUE)",
    "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 4) AS n",
)


@dataclass(frozen=True, slots=True)
class SmallRace:
    """Actors' statements. `has_waits` says whether anybody can come to wait."""

    actors: Mapping[str, Sequence[str]]
    has_waits: bool = True


def _add(account: int) -> str:
    return f"UPDATE accounts SET v = v + 1 WHERE id = {account}"


def _begun(statement: str) -> str:
    return f"BEGIN; {statement}"


def _line(account: int, word: str) -> str:
    return f"INSERT INTO lines (account, word) VALUES ({account}, '{word}') ON CONFLICT DO NOTHING RETURNING id"


def _transaction(*statements: str, begin: str = "BEGIN") -> list[str]:
    return [begin, *statements, "COMMIT"]


_SUM = "SELECT sum(v) FROM accounts"
_COPY = "UPDATE accounts SET v = (SELECT v + 1 FROM accounts WHERE id = 2) WHERE id = 1"
_COPY_BACK = "UPDATE accounts SET v = (SELECT v + 1 FROM accounts WHERE id = 1) WHERE id = 2"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"
_FREE = "UPDATE accounts SET v = 7 WHERE v = 0 AND id <= 2"
_KEEP_OR_ADD = "INSERT INTO accounts VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET v = 6 WHERE accounts.v = 1"
_LATER_LINE = "WITH last AS (SELECT max(id) AS id FROM lines) DELETE FROM lines USING last WHERE lines.id = last.id"
_LAST = "SELECT word FROM lines ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED"
_WORDLESS = "INSERT INTO lines (account) VALUES (1)"
_TRY = "SELECT pg_try_advisory_xact_lock(1)"
_WAITING = "UPDATE accounts SET v = 5 WHERE id = 2 AND (SELECT pg_advisory_xact_lock(1)) IS NOT NULL RETURNING v"
_NUMBERED = "INSERT INTO lines (id, account) OVERRIDING SYSTEM VALUE SELECT v + 5, 1 FROM accounts WHERE id = 1"
_QUEUE = "SELECT id FROM accounts WHERE v = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
_TAKE = f"UPDATE accounts SET v = 1 WHERE id = ({_QUEUE})"

SMALL_RACES: Mapping[str, SmallRace] = MappingProxyType(
    {
        "one row": SmallRace({name: _transaction(_add(1)) for name in "ab"}),
        "one row, then a read": SmallRace({"a": _transaction(_add(1), _SUM), "b": _transaction(_SUM, _add(1))}),
        "two rows": SmallRace({"a": _transaction(_add(1)), "b": _transaction(_add(2))}, has_waits=False),
        "write skew": SmallRace({"a": _transaction(_COPY), "b": _transaction(_COPY_BACK)}, has_waits=False),
        "statements that commit alone": SmallRace({"a": [_add(1), _SUM], "b": _transaction(_add(1), _SUM)}),
        "rolled back": SmallRace({"a": ["BEGIN", _add(1), "ROLLBACK"], "b": _transaction(_add(1), _SUM)}),
        "savepoint rolled back": SmallRace(
            {"a": ["BEGIN", "SAVEPOINT s", _add(1), "ROLLBACK TO s", "COMMIT"], "b": _transaction(_add(1))}
        ),
        "unique key": SmallRace({"a": _transaction(_line(1, "x")), "b": _transaction(_line(2, "x"), _SUM)}),
        "numbers from a sequence": SmallRace(
            {"a": _transaction(_line(1, "x"), _line(1, "y")), "b": _transaction(_line(2, "z"))}, has_waits=False
        ),
        "unique key, rolled back": SmallRace(
            {"a": ["BEGIN", _line(1, "x"), "ROLLBACK"], "b": _transaction(_line(2, "x"))}
        ),
        "foreign key": SmallRace(
            {"a": _transaction(_line(1, "x")), "b": _transaction("UPDATE accounts SET id = 9 WHERE id = 1")}
        ),
        "deadlock": SmallRace({"a": ["BEGIN", _add(1), _add(2)], "b": [_begun(_add(2)), _add(1)]}),
        "lock made stronger": SmallRace(
            {name: [_begun("SELECT v FROM accounts WHERE id = 1 FOR SHARE"), _add(1)] for name in "ab"}
        ),
        "skip locked": SmallRace({"a": _transaction(_QUEUE, _add(1)), "b": _transaction(_QUEUE)}),
        "queue": SmallRace({name: _transaction(_TAKE) for name in "ab"}, has_waits=False),
        "no wait": SmallRace(
            {
                "a": _transaction(_add(1)),
                "b": _transaction("SELECT v FROM accounts WHERE id = 1 FOR UPDATE NOWAIT", _SUM),
            },
        ),
        "repeatable read": SmallRace(
            {"a": _transaction(_SUM, _SUM, begin=_SNAPSHOT), "b": _transaction(_add(1))}, has_waits=False
        ),
        "repeatable read, writing": SmallRace(
            {"a": _transaction(_SUM, _add(1), begin=_SNAPSHOT), "b": _transaction(_add(1))}
        ),
        "serializable": SmallRace(
            {"a": _transaction(_COPY, begin=_SERIALIZABLE), "b": _transaction(_COPY_BACK, begin=_SERIALIZABLE)},
            has_waits=False,
        ),
        "table lock": SmallRace(
            {"a": _transaction("LOCK TABLE accounts IN EXCLUSIVE MODE", _SUM), "b": _transaction(_SUM, _add(1))}
        ),
        "exclusive table lock": SmallRace(
            {"a": _transaction("LOCK TABLE accounts"), "b": _transaction(_SUM, "SELECT v FROM accounts WHERE id = 1")}
        ),
        "advisory lock": SmallRace(
            {name: _transaction("SELECT pg_advisory_xact_lock(1)", _add(number)) for number, name in enumerate("ab", 1)}
        ),
        "row that no longer fits": SmallRace({"a": _transaction(_add(1)), "b": _transaction(_FREE), "c": [_SUM]}),
        "locked, not changed": SmallRace({"a": _transaction(_add(1), _add(1)), "b": _transaction(_KEEP_OR_ADD, _SUM)}),
        "deleted": SmallRace(
            {"a": _transaction("DELETE FROM accounts WHERE id > 2 AND v = 0"), "b": _transaction(_add(3), _SUM)}
        ),
        "alike but for their numbers": SmallRace(
            {"a": [_WORDLESS, _WORDLESS], "b": _transaction(_LATER_LINE, _SUM)}, has_waits=False
        ),
        "alike, in a queue": SmallRace(
            {"a": [_WORDLESS, _WORDLESS], "b": _transaction(_LAST, "UPDATE lines SET account = 2 WHERE account = 1")},
            has_waits=False,
        ),
        "key changed": SmallRace(
            {"a": _transaction("UPDATE accounts SET id = id + 4 WHERE v = 0"), "b": [_add(5), _add(2)]},
        ),
        "shared locks": SmallRace(
            {
                "a": _transaction("SELECT v FROM accounts WHERE v = 0 ORDER BY id LIMIT 1 FOR SHARE"),
                "b": _transaction("SELECT v FROM accounts WHERE v = 0 ORDER BY id LIMIT 1 FOR SHARE"),
                "c": [_add(1)],
            }
        ),
        "parents": SmallRace(
            {"a": _transaction(_line(1, "x")), "b": _transaction(_line(1, "y")), "c": ["DELETE FROM accounts"]}
        ),
        "number drawn in vain": SmallRace(
            {"a": ["BEGIN", _WORDLESS, "ROLLBACK"], "b": [_WORDLESS, "SELECT max(id) FROM lines"]}, has_waits=False
        ),
        "number that no sequence gave": SmallRace(
            {"a": [_NUMBERED, "SELECT id FROM lines"], "b": [_add(1)]}, has_waits=False
        ),
        "one transaction after the other": SmallRace(
            {"a": ["BEGIN", _add(1), "COMMIT; BEGIN", _SUM], "b": [_SUM, _add(1)]}
        ),
        "repeatable read, row written as it was": SmallRace(
            {"a": _transaction(_SUM, _add(1), begin=_SNAPSHOT), "b": ["UPDATE accounts SET v = v WHERE id = 1"]}
        ),
        "row that goes and comes back": SmallRace(
            {
                "a": [_WAITING],
                "b": [_begun("SELECT pg_advisory_xact_lock(1)"), "COMMIT"],
                "c": ["DELETE FROM accounts WHERE id = 2; INSERT INTO accounts VALUES (2, 0)", _TRY],
            }
        ),
        "serializable after others": SmallRace(
            {
                "a": [_SUM],
                "b": [_begun("DELETE FROM lines")],
                "c": ["BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO accounts VALUES (9, 0)"],
            },
            has_waits=False,
        ),
        "isolation of the transactions to come": SmallRace(
            {
                "a": [
                    "BEGIN; SET default_transaction_isolation = 'repeatable read'",
                    "COMMIT",
                    *_transaction("SELECT 1", _add(1)),
                ],
                "b": [_add(1)],
            }
        ),
        "exclusive table lock, rolled back": SmallRace(
            {"a": ["COMMIT"], "b": ["COMMIT"], "c": [_SNAPSHOT, "LOCK TABLE accounts"]}, has_waits=False
        ),
        "advisory lock of a session": SmallRace(
            {"a": ["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"], "b": [_TRY]}, has_waits=False
        ),
        "last number of a session": SmallRace(
            {"a": ["SELECT lastval()", _WORDLESS], "b": [_WORDLESS]}, has_waits=False
        ),
        "setting of a session": SmallRace(
            {"a": ["SHOW lock_timeout", "SET lock_timeout = '9s'"], "b": [_SUM]}, has_waits=False
        ),
        "table of a session": SmallRace(
            {"a": ["CREATE TEMP TABLE copied AS SELECT v FROM accounts", "SELECT sum(v) FROM copied"], "b": [_add(1)]},
            has_waits=False,
        ),
        "three on one row": SmallRace({name: [_add(1)] for name in "abc"}, has_waits=False),
        "three transactions": SmallRace({name: [_begun(_COPY), "COMMIT"] for name in "abc"}),
        "three with a key": SmallRace(
            {"a": ["BEGIN", _line(1, "x"), "ROLLBACK"], "b": [_line(2, "x")], "c": [_line(3, "x"), _SUM]}
        ),
    }
)
