"""What a story found when it began: the home that later changes are held against."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.fake_bot.reading import read_journal
from sim.witness.audit import DEFAULT_ACTOR, AuditEvent
from sim.witness.files import snapshot
from sim.witness.watch import Watch


class Before:
    """The home as the story found it; taken again where a starting fact is a file."""

    def __init__(self, home: Path, watch: Watch, said: list[AuditEvent]) -> None:
        self._home, self._watch, self._said = home, watch, said
        self.files = snapshot(home)
        self.journal_lines = 0

    def settle(self) -> None:
        """Effects: the home as it is now is the one that later changes are held against."""
        self._watch.drain()
        # The story's own hand is forgotten, not what a service or a worker in this process has done before.
        self._said[:] = [event for event in self._said if event.actor not in (DEFAULT_ACTOR, "given")]
        self.files = snapshot(self._home)
        self.journal_lines = len(read_journal(self._home).lines)

    def begin_here(self) -> None:
        """Effects: the story begins now: what was seen of the making of its starting facts is forgotten."""
        self._said.clear()
        self.settle()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Inside the block nobody sees what the stage itself does to the home; what was seen before is kept."""
        said = len(self._said)
        with self._watch.looking_away():
            yield
        del self._said[said:]

    def take_again(self) -> None:
        """Effects: the files, which have just been put back, are the ones that later changes are held against."""
        self._watch.drain()
        self.files = snapshot(self._home)
