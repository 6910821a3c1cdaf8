"""Reads everything once the story is over and puts it on the timeline, for the rules to judge and for forensics."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sim.errors import SimError
from sim.fake_bot.reading import explain_portfolio_change
from sim.postgres.address import DatabaseAddress
from sim.stack.rows import TABLES, Rows
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent
from sim.witness.files import FileSnapshot, compare
from sim.witness.network import attempts as network_attempts
from sim.witness.network import is_allowed
from sim.witness.watch_event import WatchEvent
from worker.contracts.errors import StackError
from worker.readers.home import Home
from worker.readers.pair import read_pair

WITNESS = "witness"
MAX_TEXT_BYTES = 65_536


def read_tables(timeline: Timeline, rows: Rows, at: datetime) -> None:
    """Effects: one `table.read` event per table, all its rows in it."""
    for table in TABLES:
        timeline.record(actor=WITNESS, kind="table.read", subject=table, at=at, rows=rows.dump(table))


def read_files(timeline: Timeline, before: FileSnapshot, after: FileSnapshot, seen: Iterable[WatchEvent]) -> None:
    """Effects: a `file.changed` event per difference, a `file.watched` event per path the kernel saw change."""
    for change in compare(before, after):
        timeline.record(
            actor=WITNESS,
            kind="file.changed",
            subject=change.path,
            what=str(change.what),
            before="absent" if change.before is None else change.before.summary(),
            after="absent" if change.after is None else change.after.summary(),
        )
    for event in seen:
        timeline.record(
            actor=event.command or WITNESS,
            kind="file.watched",
            subject=event.path,
            what=", ".join(sorted(map(str, event.what))),
            pid=event.pid,
        )


def read_audit(timeline: Timeline, home: Path, said: Iterable[AuditEvent], database: DatabaseAddress) -> None:
    """Effects: what processes said they did: `file.audited` within the home, `network.attempt`, `process.spawned`."""
    events = list(said)
    for event in events:
        if event.what.startswith("file."):
            for place in (event.path, event.to):
                path = _relative(home, place)
                if path is not None:
                    timeline.record(
                        actor=event.actor,
                        kind="file.audited",
                        subject=path,
                        at=event.virtual_at,
                        what=event.what,
                        source=event.source,
                    )
        elif event.what == "process.start":
            timeline.record(
                actor=event.actor,
                kind="process.spawned",
                subject=str(event.path),
                at=event.virtual_at,
                source=event.source,
            )
    for attempt in network_attempts(events):
        timeline.record(
            actor=attempt.actor,
            kind="network.attempt",
            subject=attempt.host if attempt.port is None else f"{attempt.host}:{attempt.port}",
            what=attempt.what,
            source=attempt.source,
            allowed=is_allowed(attempt, database),
        )


def read_portfolio(timeline: Timeline, home: Path, before: FileSnapshot, after: FileSnapshot) -> None:
    """Effects: one `portfolio.read` event: both hashes, and whether the bot's journal leads from one to the other."""
    old, new = (state.state("live_portfolio.json") for state in (before, after))
    hashes = (None if old is None else old.sha256, None if new is None else new.sha256)
    problem = None
    try:
        explained = explain_portfolio_change(home, before=hashes[0], after=hashes[1]) is not None
    except SimError as error:
        explained, problem = False, str(error)
    audited = [event for event in timeline.of_kind("file.audited") if event.subject == "live_portfolio.json"]
    timeline.record(
        actor=WITNESS,
        kind="portfolio.read",
        subject="live_portfolio.json",
        before=hashes[0],
        after=hashes[1],
        explained=explained,
        problem=problem,
        last_writer=audited[-1].actor if audited else "a process that no sensor names",
    )


def read_texts(timeline: Timeline, home: Path) -> None:
    """Effects: a `text.seen` event per small text file of the home, per process environment and per trail row."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_TEXT_BYTES:
            text = path.read_bytes().decode("utf-8", errors="replace")
            timeline.record(actor=WITNESS, kind="text.seen", subject=path.relative_to(home).as_posix(), text=text)
    for event in timeline.of_kind("process.started"):
        timeline.record(
            actor=event.actor,
            kind="text.seen",
            subject=f"environment of {event.actor}",
            text=json.dumps({"argv": event.detail["argv"], "environment": event.detail["environment"]}),
        )
    for event in timeline.of_kind("table.read"):
        for row in event.detail["rows"]:
            timeline.record(actor=WITNESS, kind="text.seen", subject=f"a row of {event.subject}", text=json.dumps(row))


def read_rest(timeline: Timeline, home: Path, rows: Rows) -> None:
    """Effects: one `home.at_rest` event: the baseline in file and cache, both generations, what was left half done."""
    # Asked for as numbers: a small quantity as JSON would be a float, and 0.00001 be told as 1e-05.
    cached = rows.query("SELECT asset, quantity, frozen FROM baseline_holdings ORDER BY asset")
    cache = {row["asset"]: [_number(row["quantity"]), row["frozen"]] for row in cached}
    leftovers = [
        path.relative_to(home).as_posix()
        for path in sorted((home / "state").rglob(".*"))
        if path.is_file() and path.name != ".lock" and not path.name.startswith(".market_snapshot")
    ]
    baseline: dict[str, Any] = {}
    generations = [0, 0]
    is_damaged = False
    try:
        pair = read_pair(Home(home))
    except StackError as error:
        is_damaged = True
        leftovers.append(str(error))
    else:
        if pair.baseline is not None and pair.managed_state is not None:
            baseline = {
                asset: [_number(holding.quantity), holding.frozen] for asset, holding in pair.baseline.holdings.items()
            }
            generations = [pair.baseline.generation, pair.managed_state.generation]
    timeline.record(
        actor=WITNESS,
        kind="home.at_rest",
        subject="state/",
        baseline=baseline,
        cache=cache,
        generations=generations,
        leftovers=leftovers,
        is_damaged=is_damaged,
    )


def _relative(home: Path, place: str | None) -> str | None:
    if place is None:
        return None
    path = Path(place)
    if not path.is_absolute() or not path.is_relative_to(home):
        return None
    return path.relative_to(home).as_posix()


def _number(value: Decimal) -> str:
    """`value` in its shortest form without an exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
