"""Plays one change again and again from the same image, killing its worker at another place each time."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from sim.clock import seconds
from sim.postgres.leases import LeasePool
from sim.stack.child import Ended
from sim.stack.stack import Stack, open_stack
from sim.stack.zygote import Zygote
from sim.witness.inject.file_operations import AFTER, BEFORE, HALF
from tests.sim.kill_points.image import Image, files_below, put, taken
from tests.sim.kill_points.rest import Rest, at_rest, losses_at_rest, losses_on_disk
from tests.sim.kill_points.stories import Story

FIRST, SECOND = "first", "second"
LEASE = seconds(61)
"""Just longer than a claim holds. Source: contract §4, "Lease"."""

COUNTED = "SIM_FILE_OPERATIONS"
TRIED = "kill points"
"""The property of a test report that holds a row of the table."""


class LazyZygote(Protocol):
    """The warm process of the run, started when first asked for."""

    def get(self) -> Zygote: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file operation, as the worker told it just before it made it. Paths are relative to the home.

    `statements` is how often the worker had waited for the database by then.
    """

    operation: str
    path: str
    to: str | None
    content: bytes
    is_folder: bool
    statements: int

    @property
    def subject(self) -> str:
        """The path whose meaning the operation changes: the new name, where there is one."""
        return self.path if self.to is None else self.to

    def __str__(self) -> str:
        return f"{self.operation} {self.path}" + (f" -> {self.to}" if self.to else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPoint:
    """`when` is `before` the operation, `half` way through its write, or `after` it."""

    ordinal: int
    when: str
    step: Step

    def __str__(self) -> str:
        return f"{self.when} operation {self.ordinal}, {self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run of the worker, to its end or to its kill: its operations, and the files of the home right after it."""

    ended: Ended
    steps: tuple[Step, ...]
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a change begins: the image, and the command (None for an expiry)."""

    image: Image
    command_id: UUID | None


@dataclass(slots=True, kw_only=True)
class Stage:
    """Makes stacks on this process's databases."""

    leases: LeasePool
    zygote: LazyZygote
    folder: Path
    _made: int = field(default=0)

    @contextmanager
    def stack(self, image: Image | None = None) -> Iterator[Stack]:
        """A stack of its own, as `image` shows it or empty."""
        self._made += 1
        folder = self.folder / f"stack-{self._made}"
        folder.mkdir()
        with self.leases.acquire() as lease, open_stack(lease, folder, zygote=self.zygote.get) as stack:
            if image is not None:
                put(image, stack)
            yield stack

    def start_of(self, story: Story) -> Start:
        """Where `story` begins; a worker was killed on the way there, where the story says so."""
        with self.stack() as stack:
            command_id = story.command_of(stack)
            image = taken(stack, self.folder / f"image-{self._made}")
        if story.begun_until is None:
            return Start(image=image, command_id=command_id)
        with self.stack(image) as stack:
            steps = play(stack).steps
        wanted = (story.begun_until.kind, story.begun_until.path)
        ordinal = 1 + [(step.operation, step.subject) for step in steps].index(wanted)
        with self.stack(image) as stack:
            play(stack, kill_at=ordinal)
            stack.clock.advance(LEASE)
            return Start(image=taken(stack, self.folder / f"image-{self._made}"), command_id=command_id)

    def unkilled(self, start: Start) -> tuple[Played, Rest, list[str]]:
        """The change as nobody cut it short: the run, how the stack rests afterwards, and the rules it broke."""
        with self.stack(start.image) as stack:
            played = play(stack)
            rest = at_rest(stack, start.image, start.command_id)
            return played, rest, broken_rules(stack)

    def losses(self, start: Start, point: KillPoint, whole: Played, wanted: Rest) -> list[str]:
        """What is lost when the worker is killed at `point` and another one comes after it; empty when nothing is."""
        with self.stack(start.image) as stack:
            killed = play(stack, kill_at=point.ordinal, when=point.when)
            if killed.ended.exit_code != -signal.SIGKILL:
                return [f"{point}: the worker was not killed, it ended with {killed.ended.exit_code}"]
            lost = losses_on_disk(start.image.files, killed.files, whole.files)
            stack.clock.advance(LEASE)
            second = stack.worker.run_once(SECOND)
            if second.exit_code != 0:
                lost.append(f"the second worker ended with {second.exit_code}: {second.stderr[-600:]}")
            lost += losses_at_rest(at_rest(stack, start.image, start.command_id), wanted)
            lost += broken_rules(stack)
            return [f"{point}: {loss}" for loss in lost]

    def is_never_reached(self, start: Start, ordinal: int) -> bool:
        """True when a worker that is to die at operation `ordinal` comes to its end."""
        with self.stack(start.image) as stack:
            return play(stack, kill_at=ordinal).ended.exit_code == 0


def play(stack: Stack, *, kill_at: int | None = None, when: str = BEFORE, cold: bool = False) -> Played:
    """A worker with `--once`, killed at its operation `kill_at` unless that is None or never comes."""
    log = stack.evidence / "file_operations.jsonl"
    told = json.dumps({"below": str(stack.home), "log": str(log), "kill_at": kill_at, "when": when})
    ended = stack.worker.run_once(FIRST, environment={COUNTED: told}, cold=cold)
    lines = log.read_text().splitlines() if log.exists() else []
    return Played(ended=ended, steps=tuple(map(_step, lines)), files=files_below(stack.home))


def points_of(steps: Sequence[Step]) -> list[KillPoint]:
    """Every place to die: before each operation, half way through each write, and after one where that differs.

    It differs where the worker speaks to the database before its next operation, or has no next one.
    """
    following = [*(step.statements for step in steps[1:]), None]
    return [
        KillPoint(ordinal=ordinal, when=when, step=step)
        for ordinal, (step, then) in enumerate(zip(steps, following, strict=True), start=1)
        for when, is_wanted in (
            (BEFORE, True),
            (HALF, step.operation == "write"),
            (AFTER, then != step.statements),
        )
        if is_wanted
    ]


def broken_rules(stack: Stack) -> list[str]:
    """What the rules of every scenario say of the stack, one sentence per breach. Effects: its story is over."""
    return [f"{breach.rule}: {breach.subject}: {breach.before}; {breach.after}" for breach in stack.finish()]


def _step(line: str) -> Step:
    told: dict[str, Any] = json.loads(line)
    return Step(
        operation=told["operation"],
        path=told["path"],
        to=told.get("to"),
        content=bytes.fromhex(told.get("content", "")),
        is_folder=told.get("is_folder", False),
        statements=told["statements"],
    )
