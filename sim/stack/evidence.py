"""Reads everything once the story is over and puts it on the timeline, for the rules to judge and for forensics."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from sim.errors import SimError
from sim.fake_bot import home as bot_paths
from sim.fake_bot.reading import JournalEvent, JournalLine, chain, content_of, explanation, read_journal, sha256_of
from sim.postgres.address import DatabaseAddress
from sim.stack.rows import TABLES, Rows
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent
from sim.witness.evidence import UNNAMED
from sim.witness.files import FileSnapshot, compare
from sim.witness.network import attempts as network_attempts
from sim.witness.network import is_allowed
from sim.witness.watch_event import WatchEvent
from worker.contracts.errors import TransientError
from worker.readers.baseline import Baseline, decode_baseline
from worker.readers.document import read_bytes
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAssets, decode_managed_state

D = TypeVar("D", Baseline, ManagedAssets)

WITNESS = "witness"
BOT = "bot"
MAX_TEXT_BYTES = 4_194_304
"""Far more than the largest file or log of a story."""

MIN_SECRET_CHARS = 8
"""A shorter word, such as a server's own `postgres`, stands in too many places to say anything."""

_STARTED = {"process.fork": "process.forked", "thread.start": "thread.started"}


def read_tables(timeline: Timeline, rows: Rows, at: datetime) -> None:
    """Effects: one `table.read` event per table, all its rows in it."""
    for table, found in rows.dumps(TABLES).items():
        timeline.record(actor=WITNESS, kind="table.read", subject=table, at=at, rows=found)


def read_files(timeline: Timeline, before: FileSnapshot, after: FileSnapshot, seen: Iterable[WatchEvent]) -> None:
    """Effects: a `file.changed` event per difference, a `file.watched` event per path the kernel saw change.

    They are put down to whoever said so, which `read_audit` has told before, else to nobody in particular.
    """
    said = {event.subject: event.actor for event in timeline.of_kind("file.audited")}
    for change in compare(before, after):
        timeline.record(
            actor=said.get(change.path, UNNAMED),
            kind="file.changed",
            subject=change.path,
            what=str(change.what),
            before="absent" if change.before is None else change.before.summary(),
            after="absent" if change.after is None else change.after.summary(),
        )
    for event in seen:
        timeline.record(
            actor=said.get(event.path, event.command or UNNAMED),
            kind="file.watched",
            subject=event.path,
            what=", ".join(sorted(map(str, event.what))),
            pid=event.pid,
        )


def read_audit(timeline: Timeline, home: Path, said: Iterable[AuditEvent], database: DatabaseAddress) -> None:
    """Effects: what processes said they did.

    `file.audited` within the home, `network.attempt`, `process.spawned`, `process.forked`, `thread.started`, and of the
    bot's own calls of a service `service.called` and `service.transactions`.
    """
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
        elif event.what == "service.called":
            timeline.record(
                actor=event.actor,
                kind="service.called",
                subject=str(event.detail["place"]),
                at=event.virtual_at,
                button=event.detail["button"],
            )
        elif event.what == "service.transactions":
            timeline.record(
                actor=event.actor,
                kind="service.transactions",
                subject=str(event.detail["asset"]),
                at=event.virtual_at,
                button=event.detail["button"],
                outcome=event.detail["outcome"],
                transactions=event.detail["transactions"],
            )
        elif event.what in _STARTED:
            timeline.record(
                actor=event.actor,
                kind=_STARTED[event.what],
                subject=str(event.detail.get("runs", "a copy of itself")),
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


def read_portfolio(
    timeline: Timeline, home: Path, before: FileSnapshot, after: FileSnapshot, *, known_lines: int = 0
) -> None:
    """Effects: one `portfolio.read` event: what the bot's journal explains, who wrote it, who else touched its files.

    `explained` is about the way from the first hash to the last, `end_explained` about the file as it stands. The
    first `known_lines` of the journal stood there before the story, whoever wrote them.
    """
    old, new = (state.state(bot_paths.PORTFOLIO.as_posix()) for state in (before, after))
    hashes = (None if old is None else old.sha256, None if new is None else new.sha256)
    pids: list[int] = []
    explained, end_explained, problem = False, False, None
    try:
        journal = read_journal(home)
    except SimError as error:
        problem = str(error)
    else:
        lines = journal.of(JournalEvent.PORTFOLIO_WRITE)
        pids = sorted({line.pid for line in journal.lines[known_lines:]})
        explained = chain(lines, before=hashes[0], after=hashes[1]) is not None
        staged = sha256_of(content_of(home / bot_paths.staged(bot_paths.PORTFOLIO)))
        # A first write that was cut after its line and before its rename has left no file.
        is_first_cut = hashes[1] is None and bool(lines) and (None, staged) == _promised_by(lines[-1])
        found = explanation(lines, found_sha256=hashes[1], staged_sha256=staged)
        end_explained = not lines or is_first_cut or found is not None
    written = {path.as_posix() for path in bot_paths.WRITTEN}
    audited = [event for event in timeline.of_kind("file.audited") if event.subject in written]
    writers = [event.actor for event in audited if event.subject == bot_paths.PORTFOLIO.as_posix()]
    timeline.record(
        actor=WITNESS,
        kind="portfolio.read",
        subject=bot_paths.PORTFOLIO.as_posix(),
        before=hashes[0],
        after=hashes[1],
        explained=explained,
        end_explained=end_explained,
        journal_pids=pids,
        touched_by_others=[
            {
                "actor": event.actor,
                "path": event.subject,
                "what": event.detail["what"],
                "source": event.detail["source"],
            }
            for event in audited
            if event.actor != BOT
        ],
        problem=problem,
        last_writer=writers[-1] if writers else UNNAMED,
    )


def read_texts(timeline: Timeline, home: Path) -> None:
    """Effects: a `text.seen` event per file of the home, per process environment and per trail row.

    A file larger than anything the stack writes is a `text.unread` event.
    """
    for path in sorted(home.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name, size = path.relative_to(home).as_posix(), path.stat().st_size
        if size > MAX_TEXT_BYTES:
            timeline.record(actor=WITNESS, kind="text.unread", subject=name, bytes=size)
        else:
            text = path.read_bytes().decode("utf-8", errors="replace")
            timeline.record(actor=WITNESS, kind="text.seen", subject=name, text=text)
    for event in timeline.of_kind("process.started"):
        timeline.record(
            actor=event.actor,
            kind="text.seen",
            subject=f"environment of {event.actor}",
            text=_shown({"argv": event.detail["argv"], "environment": event.detail["environment"]}),
        )
    for event in timeline.of_kind("table.read"):
        for row in event.detail["rows"]:
            timeline.record(actor=WITNESS, kind="text.seen", subject=f"a row of {event.subject}", text=_shown(row))


def read_outputs(timeline: Timeline, outputs: Iterable[tuple[str, Path]]) -> None:
    """Effects: an `output.read` event per stream of a process, whole; `outputs` are what each is called, and its file.

    Of a stream beyond the bound only the end is told, and that it is the end.
    """
    for subject, path in outputs:
        content = path.read_bytes() if path.exists() else b""
        timeline.record(
            actor=WITNESS,
            kind="output.read",
            subject=subject,
            text=content[-MAX_TEXT_BYTES:].decode("utf-8", errors="replace"),
            cut_bytes=max(0, len(content) - MAX_TEXT_BYTES),
        )


def read_secrets(timeline: Timeline, secrets: Iterable[str]) -> None:
    """Effects: a `secret.seen` event per place where a secret of this very run stands, letter by letter.

    It asks no scrubber, which may itself be at fault. The event names the place, never the secret.
    """
    known = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS]
    for event in timeline.of_kind("text.seen", "output.read", "process.ended"):
        texts = [event.detail[name] for name in ("text", "stderr") if name in event.detail]
        if any(secret in text for secret in known for text in texts):
            timeline.record(actor=event.actor, kind="secret.seen", subject=event.subject, sensor=event.kind)


def read_rest(timeline: Timeline, home: Path, rows: Rows) -> None:
    """Effects: one `home.at_rest` event: the baseline in file and cache, both generations, what was left half done.

    Each file is read for itself, so that two files that do not belong together are told as what they are. A generation
    is 0 where there is no file, and None where the file is damaged.
    """
    # Asked for as numbers: a small quantity as JSON would be a float, and 0.00001 be told as 1e-05.
    cached = rows.query("SELECT asset, quantity, frozen FROM baseline_holdings ORDER BY asset")
    cache = {row["asset"]: [_number(row["quantity"]), row["frozen"]] for row in cached}
    leftovers = [
        path.relative_to(home).as_posix()
        for path in sorted((home / "state").rglob(".*"))
        if path.is_file() and path.name != ".lock" and not path.name.startswith(".market_snapshot")
    ]
    damaged: dict[str, str] = {}
    paths = Home(home)
    baseline = _decoded(paths.baseline_holdings, decode_baseline, home, damaged)
    managed_state = _decoded(paths.managed_state, decode_managed_state, home, damaged)
    held = {} if baseline is None else baseline.holdings
    timeline.record(
        actor=WITNESS,
        kind="home.at_rest",
        subject="state/",
        baseline={asset: [_number(holding.quantity), holding.frozen] for asset, holding in held.items()},
        cache=cache,
        generations=[
            None if path.relative_to(home).as_posix() in damaged else 0 if found is None else found.generation
            for path, found in ((paths.baseline_holdings, baseline), (paths.managed_state, managed_state))
        ],
        leftovers=leftovers,
        damaged=damaged,
    )


def _decoded(path: Path, decode: Callable[..., D], home: Path, damaged: dict[str, str]) -> D | None:
    """The file as its reader sees it, None where there is none, or where it is damaged.

    Effects: a damaged one is added to `damaged`, by its path in the home, with what is wrong.
    """
    try:
        content = read_bytes(path)
        return None if content is None else decode(content, path=path)
    except TransientError as error:
        damaged[path.relative_to(home).as_posix()] = error.message
        return None


def _shown(value: object) -> str:
    """As text, with every letter as it is: a host in full-width letters must not hide behind escapes."""
    # Half of a surrogate pair is no letter, and could not be written down later.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _promised_by(line: JournalLine) -> tuple[str | None, str]:
    """What a line says was on disk before its write, and what is afterwards."""
    return line.previous_sha256, line.sha256


# A story that is played again and again names the same paths.
@lru_cache(maxsize=4096)
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
