"""What each step of a migration did to every table, read inside its own transaction, right after the step.

A migration from nothing to the newest revision is one transaction of many steps: from outside only its end is seen, and
a table that one step makes and the next one alters would look like a new one. Alembic notes each step in its own table;
at that statement the catalog is read over the same connection. Source: contract §10 (SR-4, SR-7).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from sqlalchemy import Connection, Engine, event

from sim.schedule.greenlets import undirected
from sim.timeline import Timeline

Schema = dict[str, list[str]]
"""Each table by name, with all that the catalog says of it, a line each."""

ACTOR = "migration"

_NOTED = re.compile(r"\s*(insert\s+into|update|delete\s+from)\s+(public\.)?alembic_version\b", re.IGNORECASE)

_TABLES: LiteralString = """
SELECT c.relname,
    array(SELECT format('column %s %s not null %s default %s', a.attname, format_type(a.atttypid, a.atttypmod),
                        a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
          FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
    || array(SELECT format('constraint %s: %s', conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = c.oid ORDER BY conname)
    || array(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid ORDER BY 1)
    || array(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal ORDER BY 1)
    || array(SELECT format('rule %s', rulename) FROM pg_rewrite WHERE ev_class = c.oid ORDER BY 1)
    || ARRAY[format('kind %s persistence %s options %s row security %s grants %s', c.relkind, c.relpersistence,
                    c.reloptions, c.relrowsecurity, c.relacl)]
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> 'alembic_version'
ORDER BY c.relname
"""

_STANDING: LiteralString = """
SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = current_database()
"""

_REVISION: LiteralString = "SELECT version_num FROM public.alembic_version"


@contextmanager
def telling_steps(
    timeline: Timeline, connect: Callable[[], "psycopg.Connection[Any]"], *, direction: str, flag: str | None
) -> Iterator[None]:
    """Within the block, each step of a migration in this process is a `migration.stepped` event.

    Its subject is the revision that the step led to; its detail the schema before and after, the database's mark, and
    `flag`, what BINANCE_TESTNET was. `connect` opens a connection to look with before anything has happened.
    """
    with connect() as looking:
        row = looking.execute(_STANDING).fetchone()
        mark = str(row[0]) if row else ""
        stands = [_schema(looking)]

    def look(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _NOTED.match(statement) is None:
            return
        raw: Any = connection.connection.driver_connection
        with undirected():
            revision = raw.execute(_REVISION).fetchone()
            after = _schema(raw)
        timeline.record(
            actor=ACTOR,
            kind="migration.stepped",
            subject="base" if revision is None else str(revision[0]),
            direction=direction,
            before=stands[-1],
            after=after,
            mark=mark,
            flag=flag,
        )
        stands.append(after)

    event.listen(Engine, "after_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", look)


def _schema(connection: "psycopg.Connection[Any]") -> Schema:
    return {name: list(lines) for name, lines in connection.execute(_TABLES).fetchall()}
