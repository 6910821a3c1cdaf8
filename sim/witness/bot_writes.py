"""Which of the changes of the bot's own files were the bot's: explained by its journal, made by its process.

The bot writes by rename only, and announces each content in its journal first. So a direct write, another process, or
content that no line announces is somebody else's. Source: contract §2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.fake_bot.reading import JournalEvent, JournalLine, chain, read_journal
from sim.witness.allowance import targets_of_temporary
from sim.witness.audit import AuditEvent
from sim.witness.files import Change, FileChange, FileKind, FileState
from sim.witness.watch_event import Happening, WatchEvent

_BOT = "bot"
_FILES = {str(event.path): event for event in JournalEvent}
_DIRECT = frozenset({Happening.MODIFIED, Happening.CLOSED_AFTER_WRITE, Happening.METADATA, Happening.DELETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class BotJournal:
    """The journal of a home as it stood at the end of a block, and how many lines of it are older than the block."""

    lines: tuple[JournalLine, ...]
    known_before: int

    @property
    def pids(self) -> frozenset[int]:
        """Processes that wrote the journal."""
        return frozenset(line.pid for line in self.lines)

    def of(self, event: JournalEvent) -> tuple[JournalLine, ...]:
        """The lines about one file, in order."""
        return tuple(line for line in self.lines if line.event is event)

    def explains(
        self,
        path: str,
        change: FileChange | None,
        seen: Sequence[WatchEvent],
        said: Sequence[AuditEvent],
        was: FileState | None,
    ) -> bool:
        """Whether everything that happened to `path`, which was `was` before the block, was the bot's doing."""
        event = _FILES.get(path)
        if event is None:
            staged_for = [target for target in targets_of_temporary(path) if target in _FILES]
            return bool(staged_for and self.lines) and self._by_bot(seen, said)
        announced = chain(self.of(event), before=_sha256(change, "before"), after=_sha256(change, "after"))
        if not self._by_bot(seen, said) or any(happening in _DIRECT for one in seen for happening in one.what):
            return False
        renames = sum(one.times for one in seen if Happening.MOVED_TO in one.what)
        new_lines = sum(line.event is event for line in self.lines[self.known_before :])
        allowed = new_lines + self._is_pending(event, was)
        return _is_rename(change) and renames <= allowed and bool(announced or change is None)

    def _is_pending(self, event: JournalEvent, was: FileState | None) -> bool:
        """Whether the last line before the block announced a rename that may have come inside it."""
        older = [line for line in self.lines[: self.known_before] if line.event is event]
        if not older:
            return False
        return (
            older[-1].sha256 != (None if was is None else was.sha256) or older[-1].previous_sha256 == older[-1].sha256
        )

    def _by_bot(self, seen: Iterable[WatchEvent], said: Iterable[AuditEvent]) -> bool:
        acted = all(one.actor.partition(":")[0] == _BOT or one.pid in self.pids for one in said)
        return acted and all(one.pid is None or one.pid in self.pids for one in seen)


def count_lines(home: Path) -> int:
    """How many whole lines the journal of `home` has now; 0 where there is none."""
    return len(read_journal(home).lines)


def journal_since(home: Path, known_before: int) -> BotJournal:
    """The journal as it is now.

    Raises: JournalDamaged (`bot/journal_damaged`).
    """
    return BotJournal(lines=read_journal(home).lines, known_before=known_before)


def _sha256(change: FileChange | None, side: str) -> str | None:
    state = None if change is None else (change.before if side == "before" else change.after)
    return None if state is None else state.sha256


def _is_rename(change: FileChange | None) -> bool:
    """Whether a lasting change is one that a rename makes: another file under the same name, with the same mode."""
    if change is None:
        return True
    if change.after is None or change.after.kind is not FileKind.FILE or change.what is Change.METADATA:
        return False
    return change.before is None or change.before.mode == change.after.mode
