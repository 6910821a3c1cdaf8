"""Races of SQL made by chance: few rows, so that the actors meet, out of many kinds of statements."""

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sim.postgres.address import DatabaseAddress
from sim.schedule.explorer import Conductor, Explorer
from sim.schedule.explorer import play as play_order
from sim.schedule.hub import Choose
from sim.schedule.race import Reach
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace
from sim.schedule.unpruned import count_orders

Actors = Mapping[str, Sequence[str]]

ANYHOW = Reach("somebody moved", lambda trace: bool(trace.taken))
MAX_ORDERS = 400
MAX_RUNS = 300
"""Of the search; a race that takes more has too many orders as well, or waits for the director at each step."""

TABLES = (
    "DROP TABLE IF EXISTS lines, notes, accounts, sums",
    "DROP FUNCTION IF EXISTS noted",
    "CREATE TABLE accounts (id int PRIMARY KEY, v int NOT NULL)",
    "CREATE TABLE lines (id int PRIMARY KEY, account int REFERENCES accounts {key}, w int UNIQUE {key})",
    "CREATE TABLE notes (id serial PRIMARY KEY, word text UNIQUE, n int)",
    "CREATE TABLE sums (id int PRIMARY KEY, n int NOT NULL)",
    "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 3) AS n",
    "INSERT INTO lines VALUES (1, 1, 10), (2, 2, 20)",
    "INSERT INTO sums VALUES (1, 0)",
)
_TRIGGER = "AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION noted()"
TRIGGERS = (
    (
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO notes (n) VALUES (NEW.v); RETURN NULL; END'",
        f"CREATE TRIGGER noting {_TRIGGER}",
    ),
    (
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN UPDATE sums SET n = n + (SELECT sum(v) FROM accounts) WHERE id = 1; RETURN NULL; END'",
        f"CREATE CONSTRAINT TRIGGER noting {_TRIGGER.replace('FOR EACH', 'DEFERRABLE INITIALLY DEFERRED FOR EACH')}",
    ),
)
ROWS = ("accounts", "lines", "notes", "sums")

_ADD = "UPDATE accounts SET v = v + 1 WHERE id = {row}"
_SUM = "SELECT sum(v) FROM accounts"
_CONFLICT = "INSERT INTO notes (word, n) VALUES ('{word}', 1) ON CONFLICT"
# Where several rows are looked at they are told in an order, for that of a table's rows is not put back.
FAMILIES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "rows": (
            _ADD,
            _SUM,
            "UPDATE accounts SET v = v WHERE id = {row}",
            "UPDATE accounts SET v = {small} WHERE id = {row} AND v = 0 RETURNING v",
            "UPDATE accounts SET v = (SELECT max(v) + 1 FROM accounts) WHERE id = {row}",
            "DELETE FROM accounts WHERE id = {row}",
            "INSERT INTO accounts SELECT 4, sum(v) FROM accounts",
            "UPDATE accounts SET id = 4 WHERE id = {row}",
        ),
        "locks": (
            _ADD,
            _SUM,
            "SELECT v FROM accounts WHERE id = {row} FOR {strength}",
            "SELECT v FROM accounts WHERE id = {row} FOR {strength} SKIP LOCKED",
            "SELECT v FROM accounts WHERE id = {row} FOR {strength} NOWAIT",
            "LOCK TABLE accounts IN SHARE MODE",
            "LOCK TABLE sums IN ACCESS EXCLUSIVE MODE NOWAIT",
            "SELECT n FROM sums WHERE id = 1",
        ),
        "keys": (
            "INSERT INTO notes (word, n) VALUES ('{word}', 1) RETURNING id",
            f"{_CONFLICT} DO NOTHING",
            f"{_CONFLICT} (word) DO UPDATE SET n = notes.n + 1 RETURNING n",
            "DELETE FROM notes WHERE word = '{word}'",
            "INSERT INTO lines VALUES (3, {row}, 30)",
            "UPDATE lines SET account = {row}, w = 10 WHERE id = {small}",
            "DELETE FROM accounts WHERE id = {row}",
            "SELECT id, account, w FROM lines ORDER BY id",
        ),
        "numbers": (
            "INSERT INTO notes (n) VALUES (1)",
            "INSERT INTO notes (n) SELECT v FROM accounts WHERE id = {row} RETURNING id",
            "SELECT lastval()",
            "SELECT max(id) FROM notes",
            "SELECT last_value FROM notes_id_seq",
            "UPDATE notes SET id = id * 2",
            "UPDATE notes SET id = id + 1",
            "DELETE FROM notes WHERE id = (SELECT max(id) FROM notes)",
        ),
        "sessions": (
            _ADD,
            _SUM,
            "SELECT pg_advisory_xact_lock({small})",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_advisory_unlock(1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "SET LOCAL lock_timeout = '20s'",
            "SHOW lock_timeout",
            "SET lock_timeout = '30s'",
            "SET default_transaction_isolation = 'repeatable read'",
            "CREATE TEMP TABLE own AS SELECT sum(v) AS v FROM accounts",
            "SELECT v FROM own",
            "NOTIFY something",
        ),
        "scripts": (
            _ADD,
            _SUM,
            f"{_ADD}; {_ADD}",
            f"{_ADD}; COMMIT; BEGIN; UPDATE sums SET n = n + 1 WHERE id = 1",
            "COMMIT AND CHAIN",
            f"DO $$ BEGIN {_ADD}; END $$",
            f"WITH done AS ({_ADD} RETURNING v) UPDATE sums SET n = n + v FROM done WHERE sums.id = 1",
            "MERGE INTO sums USING (SELECT sum(v) AS v FROM accounts) AS s ON true WHEN MATCHED THEN UPDATE SET n = v",
            "TRUNCATE notes",
        ),
    }
)
_BEGINS = ("BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE")
_STRENGTHS = ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE")


def random_race(seed: int) -> tuple[Sequence[str], Actors]:
    """What sets the race up, and its actors' statements."""
    chance = random.Random(seed)
    key = chance.choice(("", "", "DEFERRABLE INITIALLY DEFERRED"))
    trigger = chance.choice(((), (), (), *TRIGGERS))
    setup = [statement.replace("{key}", key) for statement in TABLES] + list(trigger)
    families = chance.sample(list(FAMILIES), 2)
    names = chance.choice(("ab", "ab", "abc"))
    return setup, {name: _actor(chance, families, 4 // (len(names) - 1)) for name in names}


def _actor(chance: random.Random, families: Sequence[str], steps: int) -> list[str]:
    statements = [_statement(chance, chance.choice(families)) for _ in range(max(steps - 2, 1))]
    match chance.randrange(6):
        case 0:
            return statements
        case 1:
            return ["BEGIN", "SAVEPOINT s", statements[0], "ROLLBACK TO s", *statements[1:], "COMMIT"][: steps + 1]
        case 2:
            return [f"BEGIN; {statements[0]}", *statements[1:], "ROLLBACK"]
        case _:
            return [chance.choice(_BEGINS), *statements, "COMMIT"]


def _statement(chance: random.Random, family: str) -> str:
    return chance.choice(FAMILIES[family]).format(
        row=chance.choice((1, 1, 1, 2, 3)),
        small=chance.choice((1, 2)),
        word=chance.choice("xy"),
        strength=chance.choice(_STRENGTHS),
    )


class WatchedRace(SqlRace):
    """Keeps the ends that it came to: all that each step said, and every row."""

    ends: set[str]

    def run(self, conductor: Conductor) -> None:
        """As the race's. Effects: its end is kept."""
        super().run(conductor)
        rows = [
            self.sessions.monitor.connection.execute(f"TABLE {name} ORDER BY id".encode()).fetchall() for name in ROWS
        ]
        said = {name: [(one.sqlstate, one.rows) for one in results] for name, results in self.last.items()}
        self.ends.add(f"{said} {rows}")


def compare(address: DatabaseAddress, setup: Sequence[str], actors: Actors, *, foretells: bool = True) -> int:
    """How many orders the race has; 0 where there are too many to run each.

    Raises: `AssertionError` where the search found others than there are when all are run; `SimError`.
    """
    with WatchedRace(address, signals=True, setup=setup, actors=actors, reaches=ANYHOW) as race:
        race.ends = set()
        settings = Settings(foretells=foretells, audits=15, budget=MAX_RUNS, samples=1, shrinks=False)
        found = Explorer(race, settings, "random").explore()
        if found.orders is None or found.orders > MAX_ORDERS:
            return 0
        by_search, race.ends = race.ends, set()

        def play(choose: Choose) -> str:
            play_order(race, Conductor(race, choose))
            return ""

        counted = count_orders(play, max_orders=MAX_ORDERS)
        assert by_search == race.ends, f"{actors}: only run one by one: {race.ends - by_search}"
        assert found.orders == counted.orders, f"{actors}: {found.orders} orders by search, {counted.orders} there are"
    return counted.orders
