"""Starting facts that one story has had made, kept for the next that begins with the same ones.

Two stories in three begin with a proposal or a managed asset: three or four commands, each clicked in the real services
and carried out by the real worker. That takes a tenth of a second, and what stands there afterwards is always the same.
So the first story of a process has it made, and later ones are given its rows, files and events. In every one of them,
the first included, what its sensors saw of the making is forgotten: the story begins after it.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql

from sim.clock import VirtualClock
from sim.postgres.leases import Lease
from sim.schedule.files import Files, KeptFiles
from sim.stack.before import Before
from sim.stack.looks import WITNESS, Looks
from sim.stack.rows import Rows
from sim.timeline import Event, Timeline
from sim.witness.audit import acting_as
from worker.db.schema import metadata

ACTOR = "given"
SCENARIO = "scenario"

_THERE_FROM_THE_FIRST = frozenset({"users"})
"""Tables whose rows every story is given when it is opened."""

_SEQUENCES: LiteralString = """
SELECT format('SELECT setval(%L, %s, %L)', format('%I.%I', schemaname, sequencename),
              coalesce(last_value, start_value), last_value IS NOT NULL) AS statement
  FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStage:
    """What stood on a stage: rows as one script, files, events, and what the maker answered."""

    script: sql.Composed
    files: KeptFiles
    events: tuple[Event, ...]
    answer: Any


@dataclass(slots=True)
class KeptStages:
    """The stages that the stories of one process have had made so far, by what was asked for."""

    by_what: dict[Hashable, KeptStage] = field(default_factory=dict)
    given_again: int = 0


@dataclass(frozen=True, slots=True)
class StageKeeper:
    """Keeps and gives again the stages of one story. `before` is what later changes of its home are held against."""

    stages: KeptStages
    lease: Lease
    rows: Rows
    home: Path
    clock: VirtualClock
    timeline: Timeline
    looks: Looks
    before: Before

    def made(self, what: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` answers: made now, or given again where a story of this process has begun with the same before.

        Only a story in which nothing has happened yet is given anything again; in another `make` is simply called.
        What a scenario has said of itself, such as the failures that it expects, is no happening. A moved clock and a
        home that was changed by hand are on no timeline: what is kept is kept for them alone.
        """
        said = [event for event in self.timeline if event.actor == SCENARIO]
        reading = self.clock.reading
        if len(said) != len(self.timeline) or reading is None or reading.running:
            return make()
        what = (what, reading.virtual_at, Files(self.home).digest())
        kept = self.stages.by_what.get(what)
        if kept is None:
            answer = make()
            script, files = sql.SQL(";").join(_rows_of(self.rows)), Files(self.home).keep()
            kept = KeptStage(script=script, files=files, events=self._events(), answer=answer)
            self.stages.by_what[what] = kept
        else:
            self.lease.connection.execute(kept.script, prepare=False)
            with acting_as(ACTOR):
                Files(self.home).put_back(kept.files)
            self.stages.given_again += 1
        self._begin_with([*said, *kept.events])
        return deepcopy(kept.answer)

    def _events(self) -> tuple[Event, ...]:
        """What has happened, but for what the stage saw when it looked: a row's version and a file's number differ."""
        return tuple(event for event in self.timeline if event.actor not in (SCENARIO, WITNESS))

    def _begin_with(self, events: Sequence[Event]) -> None:
        self.timeline.rewind(0)
        for event in events:
            self.timeline.record(
                actor=event.actor, kind=event.kind, subject=event.subject, at=event.at, **dict(event.detail)
            )
        self.before.begin_here()
        self.looks.remember(({}, {}))
        self.looks.look()


def _rows_of(rows: Rows) -> Iterator[sql.Composable]:
    """The statements that write every row again into empty tables, each value in the server's own words."""
    for table in metadata.sorted_tables:
        if table.name in _THERE_FROM_THE_FIRST:
            continue
        names = [sql.Identifier(column.name) for column in table.columns]
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
        found = rows.results_of(sql.SQL("SELECT {} FROM {}").format(texts, sql.Identifier(table.name)))
        if found:
            values = sql.SQL(", ").join(
                sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row.values()))) for row in found
            )
            yield sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES {}").format(
                sql.Identifier(table.name), sql.SQL(", ").join(names), values
            )
    for row in rows.results_of(_SEQUENCES):
        yield sql.SQL(row["statement"])
