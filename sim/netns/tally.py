"""All attempts of one run: how many, the first of them one by one, and what is said of them at its end."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from sim.netns.attempts import MAX_KEPT, Attempt, tell, to_line


class Tally:
    """Counts every attempt, keeps the first `MAX_KEPT`, and writes those to `report` as they come."""

    def __init__(self, report: TextIO | None = None) -> None:
        self.attempts: list[Attempt] = []
        self.count = 0
        self._report = report

    def keep(self, attempt: Attempt) -> None:
        """Effects: the attempt is counted."""
        self.count += 1
        if len(self.attempts) >= MAX_KEPT:
            return
        self.attempts.append(attempt)
        if self._report is not None:
            with suppress(OSError):  # a full disk must not end the run
                print(to_line(attempt), file=self._report, flush=True)

    def tell(self, code: int, unseen: int) -> list[str]:
        """What is said at the end of a command that ended with `code`; `unseen` packets came too fast to be read."""
        if not self.count and not unseen:
            return ["nothing tried to leave loopback (the trip-wire had named its deliberate attempts)"]
        attempts = "1 attempt" if self.count == 1 else f"{self.count} attempts"
        lines = [f"{attempts} to leave loopback, and nothing got out; the command ended with {code}", *self.table()]
        if unseen:
            lines.append(f"  and {unseen} packets that came too fast to be read")
        return lines

    def table(self) -> list[str]:
        """The lines of the table, none where there was no attempt."""
        if not self.count:
            return []
        lines = tell(sorted(self.attempts, key=lambda one: one.at_ns))
        left_out = self.count - len(self.attempts)
        return [*lines, f"  and {left_out} further attempts, which were only counted"] if left_out else lines


def print_lines(lines: Sequence[str], stream: TextIO) -> None:
    """Effects: each line is printed; nobody needs to be there to read it."""
    with suppress(OSError):
        print(
            "\n".join(f"sim netns: {line}" if not line.startswith(" ") else line for line in lines),
            file=stream,
            flush=True,
        )
