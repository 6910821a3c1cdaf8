"""What the bot's journal says about the files on disk. Reads only; rules and the witness may use it.

The journal holds one line per write of a file, appended and on disk *before* the file is renamed into place. The new
content waits beside its target, already on disk, when the line is appended. So at every instant the file on disk is

- what the last line of its kind says (the usual case), or
- what that line replaces, while the staged file holds what the line says: a write in flight, or one cut by a kill,
  which the next start of the bot completes.

Anything else on disk was put there by somebody else, an older portfolio of the bot's own included. A last line without
its newline is torn: it was never followed by a rename, counts as absent, and the next start truncates it away.

Source: contract §2 (a changed hash must be explained by the bot's own journal).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from sim.errors import SimError
from sim.fake_bot import home as paths

MAX_READS = 5
"""Reads of a home in motion: the bot renames a file at most twice per cycle, so two retries do and five are plenty."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class JournalEvent(StrEnum):
    """Which file a line is about."""

    PORTFOLIO_WRITE = "portfolio_write"
    MARKET_SNAPSHOT_WRITE = "market_snapshot_write"

    @property
    def path(self) -> Path:
        """The file, relative to the home."""
        return _PATHS[self]


_PATHS = {
    JournalEvent.PORTFOLIO_WRITE: paths.PORTFOLIO,
    JournalEvent.MARKET_SNAPSHOT_WRITE: paths.MARKET,
}


class JournalLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One write: `previous_sha256` (None: there was no file) became `sha256`. `at` is the database clock.

    On an exchange `reason` says what the write is for, and `order` the client id of the order it is about.
    """

    at: str
    pid: int
    cycle: int
    event: JournalEvent
    previous_sha256: Sha256 | None
    sha256: Sha256
    reason: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A journal as read: whole lines in order, and the length of what is whole. Bytes beyond it are a torn line."""

    lines: tuple[JournalLine, ...]
    whole_bytes: int
    torn_bytes: int

    def of(self, event: JournalEvent) -> tuple[JournalLine, ...]:
        """The lines about one file, in order."""
        return tuple(line for line in self.lines if line.event is event)


class JournalDamaged(SimError):
    """A whole line of the journal is not one the bot wrote."""


def sha256_hex(content: bytes) -> str:
    """The hash of `content`, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(content: bytes | None) -> str | None:
    """The hash of a file's content, or None where there is no file."""
    return None if content is None else sha256_hex(content)


def content_of(path: Path) -> bytes | None:
    """The bytes of the file `path`, or None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def parse_journal(content: bytes, *, name: str = str(paths.JOURNAL)) -> Journal:
    """The journal in `content`; a torn last line is counted, not read.

    Raises: `JournalDamaged` (`bot/journal_damaged`), naming the line.
    """
    whole_bytes = content.rfind(b"\n") + 1
    lines: list[JournalLine] = []
    for number, text in enumerate(content[:whole_bytes].split(b"\n")[:-1], start=1):
        try:
            lines.append(msgspec.json.decode(text, type=JournalLine))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalDamaged(
                "bot/journal_damaged",
                f"{name}, line {number}: expected a line written by the bot, found {error}; "
                "keep the file as evidence and restore it from a backup",
            ) from error
    return Journal(lines=tuple(lines), whole_bytes=whole_bytes, torn_bytes=len(content) - whole_bytes)


INTENDED = "order_intended"
ENDED = frozenset({"order_settled", "order_refused", "order_not_placed", "order_gone"})
"""Reasons of the lines between which an order is in flight."""


def orders_in_flight(lines: Sequence[JournalLine], *, before: Sequence[str] = ()) -> tuple[str, ...]:
    """The client ids of the orders that were in flight `before`, or that `lines` intend, and that have not ended."""
    found: dict[str, None] = dict.fromkeys(before)
    for line in lines:
        if line.order is not None and line.reason == INTENDED:
            found[line.order] = None
        elif line.order is not None and line.reason in ENDED:
            found.pop(line.order, None)
    return tuple(found)


def announced(home: Path, event: JournalEvent, lines: Sequence[JournalLine]) -> bytes | None:
    """What the file of `event` holds, a write that was announced and not renamed yet included; None for no file.

    `lines` are those about this file. Safe where no bot runs, or one that waits.
    """
    path = home / event.path
    staged = content_of(paths.staged(path))
    return staged if lines and staged is not None and sha256_hex(staged) == lines[-1].sha256 else content_of(path)


def read_journal(home: Path) -> Journal:
    """The journal of `home`; empty where there is none.

    Raises: `JournalDamaged` (`bot/journal_damaged`), naming the line.
    """
    path = home / paths.JOURNAL
    return parse_journal(content_of(path) or b"", name=str(path))


def explanation(
    lines: Sequence[JournalLine], *, found_sha256: str | None, staged_sha256: str | None
) -> JournalLine | None:
    """The line that explains `found_sha256` on disk, or None. `lines` are those about this one file.

    `staged_sha256` is the hash of the staged file, None if there is none.
    """
    if not lines or found_sha256 is None:
        return None
    last = lines[-1]
    if found_sha256 == last.sha256:
        return last
    if found_sha256 == last.previous_sha256 and staged_sha256 == last.sha256:
        return next((line for line in reversed(lines[:-1]) if line.sha256 == found_sha256), None)
    return None


def chain(lines: Sequence[JournalLine], *, before: str | None, after: str | None) -> tuple[JournalLine, ...] | None:
    """The lines that lead from the hash `before` to the hash `after`, each replacing what the one before it wrote.

    Empty when nothing changed; None when the journal does not explain the change. `lines` are those about this file.
    """
    if before == after:
        return ()
    last = next((place for place in range(len(lines) - 1, -1, -1) if lines[place].sha256 == after), None)
    if last is None:
        return None
    for first in range(last, -1, -1):
        if lines[first].previous_sha256 == before:
            return tuple(lines[first : last + 1])
        if first == 0 or lines[first - 1].sha256 != lines[first].previous_sha256:
            return None
    return None


def explain_file(home: Path, event: JournalEvent) -> JournalLine | None:
    """The journal line that explains the file of `event` as it stands in `home`; None for no file, or a foreign one.

    Safe beside a running bot: the file is read before and after the journal, and both again if it changed in between.

    Raises: `JournalDamaged` (`bot/journal_damaged`).
    """
    path = home / event.path
    found = sha256_of(content_of(path))
    line: JournalLine | None = None
    for _ in range(MAX_READS):
        lines = read_journal(home).of(event)
        staged_sha256 = sha256_of(content_of(paths.staged(path)))
        line = explanation(lines, found_sha256=found, staged_sha256=staged_sha256)
        again = sha256_of(content_of(path))
        if again == found:
            break
        found = again
    return line


def explain_portfolio(home: Path) -> JournalLine | None:
    """The journal line that explains `live_portfolio.json` as it stands in `home`, or None.

    Raises: `JournalDamaged` (`bot/journal_damaged`).
    """
    return explain_file(home, JournalEvent.PORTFOLIO_WRITE)


def explain_portfolio_change(home: Path, *, before: str | None, after: str | None) -> tuple[JournalLine, ...] | None:
    """The journal lines that lead from one portfolio hash to another; empty when equal, None when unexplained.

    Raises: `JournalDamaged` (`bot/journal_damaged`).
    """
    return chain(read_journal(home).of(JournalEvent.PORTFOLIO_WRITE), before=before, after=after)
