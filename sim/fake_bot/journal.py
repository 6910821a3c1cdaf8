"""Writes files so that the journal explains each of them at every instant, through any kill.

One write: the new content goes beside its target and to disk; the journal line is appended and goes to disk; the rename
makes it true. A start after a kill truncates a torn line, and completes a write whose line stands.

Source: contract §2; `reading` says what readers may rely on.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sim.fake_bot import home as paths
from sim.fake_bot.durable import remove_synced, rename_synced, sync_folder, write_all, write_synced
from sim.fake_bot.errors import BotRefused
from sim.fake_bot.json_file import line, utc_text
from sim.fake_bot.reading import JournalEvent, content_of, read_journal, sha256_hex, sha256_of


class JournalWriter:
    """The only way the bot changes a file that others read. Made by `open_journal`."""

    def __init__(self, *, home: Path, descriptor: int) -> None:
        self._home = home
        self._descriptor = descriptor

    def publish(
        self,
        event: JournalEvent,
        content: bytes,
        *,
        previous_sha256: str | None,
        at: datetime,
        cycle: int,
        reason: str | None = None,
        order: str | None = None,
    ) -> str:
        """The hash of `content`, now in the file of `event` and in the journal, with `reason` and `order` if told.

        Raises: `OSError`; the file is then the old one or the new one, whole, and explained.
        """
        target = self._home / event.path
        staged = paths.staged(target)
        sha256 = sha256_hex(content)
        write_synced(staged, content)
        record = {
            "at": utc_text(at),
            "pid": os.getpid(),
            "cycle": cycle,
            "event": event.value,
            "previous_sha256": previous_sha256,
            "sha256": sha256,
            **({} if reason is None else {"reason": reason}),
            **({} if order is None else {"order": order}),
        }
        write_all(self._descriptor, line(record))
        os.fsync(self._descriptor)
        rename_synced(staged, target)
        return sha256

    def recover(self) -> tuple[str, ...]:
        """What was put right after a kill, one sentence each; nothing when the last run ended well.

        Effects: truncates a torn last line; completes a write whose line stands; removes a staged file whose line does
        not. A file that the journal does not explain is left alone, with its staged file.

        Raises: `JournalDamaged` (`bot/journal_damaged`), `OSError`.
        """
        journal = read_journal(self._home)
        done: list[str] = []
        if journal.torn_bytes:
            os.ftruncate(self._descriptor, journal.whole_bytes)
            os.fsync(self._descriptor)
            done.append(f"truncated a torn line of {journal.torn_bytes} bytes from {paths.JOURNAL}")
        for event in JournalEvent:
            lines = journal.of(event)
            target = self._home / event.path
            staged = paths.staged(target)
            staged_sha256 = sha256_of(content_of(staged))
            found_sha256 = sha256_of(content_of(target))
            promised = (lines[-1].previous_sha256, lines[-1].sha256) if lines else (None, None)
            if staged_sha256 is None:
                continue
            if promised == (found_sha256, staged_sha256):
                rename_synced(staged, target)
                done.append(f"completed the write of {event.path} that its last journal line announced")
            elif promised[1] == found_sha256:
                remove_synced(staged)
                done.append(f"removed a staged {event.path} that no journal line announced")
        return tuple(done)


@contextmanager
def open_journal(home: Path) -> Iterator[JournalWriter]:
    """The journal of `home`, held by this process alone until the block ends.

    Effects: makes `logs/`, `state/` and the journal where absent; a kill releases the hold.

    Raises: `BotRefused` (`bot/home_taken`) while another bot runs there; `OSError`.
    """
    for folder in {paths.JOURNAL.parent, paths.MARKET.parent}:
        (home / folder).mkdir(exist_ok=True)
    path = home / paths.JOURNAL
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BotRefused(
                "bot/home_taken",
                f"expected a home without a bot, found another bot holding {path}; stop that one first",
            ) from error
        sync_folder(path.parent)
        sync_folder(home)
        yield JournalWriter(home=home, descriptor=descriptor)
    finally:
        os.close(descriptor)
