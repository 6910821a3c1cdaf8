"""One isolated stack: a home, a database, a clock and the actors, watched from the first moment to the last."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

import psycopg
from sqlalchemy import Engine

from sim.clock import VirtualClock
from sim.errors import SimError
from sim.postgres.leases import Lease
from sim.postgres.private import PrivateServer
from sim.report.forensics import keep_evidence, remove_raw
from sim.rules.breach import Breach
from sim.rules.registry import judge
from sim.schedule.race import SOMEBODY_WAITED, Race, Reach
from sim.stack import evidence, evidence_managed
from sim.stack.before import Before
from sim.stack.bot_actor import BotActor
from sim.stack.bus_actor import BusActor
from sim.stack.cache_actor import CacheActor
from sim.stack.click_witness import ClickWitness
from sim.stack.directed_worker import open_worker_engine
from sim.stack.exchange_actor import ExchangeActor
from sim.stack.faults import Faults
from sim.stack.given import CAST, seat_cast
from sim.stack.given_managed import ManagedGiven
from sim.stack.guests import callers_of, gui_engine
from sim.stack.home import make_home
from sim.stack.kept_stages import KeptStages, StageKeeper
from sim.stack.launcher import Launcher
from sim.stack.looks import Looks
from sim.stack.managed_views import (
    AnyProposal,
    AssetView,
    MoveView,
    ProposalView,
    view_asset,
    view_history,
    view_proposal,
)
from sim.stack.mark import Mark, size_of
from sim.stack.migration_actor import MigrationActor
from sim.stack.operator_actor import Operator
from sim.stack.outside import Measured, measure
from sim.stack.rows import CommandView, Rows
from sim.stack.sensors import open_home_watch, read_sensors
from sim.stack.server_actor import ServerActor
from sim.stack.watching import Watching
from sim.stack.worker_actor import WorkerActor
from sim.stack.zygote import Zygote
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent, listening, read_log
from sim.witness.files import snapshot
from sim.witness.no_mutation import Sensors
from sim.witness.watch import Watch
from worker.contracts.errors import Reason
from worker.db.session import BoundedConnection, url_of
from worker.services.commands import CancelledCommand
from worker.services.submission import CreatedCommand

if TYPE_CHECKING:
    from sim.stack.exchange_stage import ExchangeStage

NOBODY = 999
"""A user id that nobody has."""

STORY_BEGINS = "2026-05-12T09:00:00Z"
"""When every story begins, unless it says otherwise: the clock stands still there."""


@dataclass(slots=True)
class Stack:
    """What a scenario is given. Made by `open_stack`."""

    home: Path
    lease: Lease
    timeline: Timeline
    clock: VirtualClock
    rows: Rows
    engine: Engine
    launcher: Launcher
    worker: WorkerActor
    bot: BotActor
    exchange: ExchangeActor
    bus: BusActor
    cache: CacheActor
    faults: Faults
    given: ManagedGiven
    migration: MigrationActor
    postgres: ServerActor
    witness: Watching
    evidence: Path
    _before: Before = field(repr=False)
    _watch: Watch = field(repr=False)
    _said: list[AuditEvent] = field(repr=False)
    _clicks: ClickWitness = field(repr=False)
    _looks: Looks = field(repr=False)

    def race(self, *, reaches: Reach = SOMEBODY_WAITED, avoids: Reach | None = None) -> Race:
        """A race, whose actors are started in its block; some order of it must have `reaches`, none may have `avoids`.

        Assertions after the block run once for each distinct end: what is to hold of every order belongs into `avoids`.

        Raises: `SimError` (`schedule/not_explored`) in a scenario that is not marked `@every_interleaving`.
        """
        raise SimError(
            "schedule/not_explored",
            f"a race that should show that {reaches.words} needs somebody who plays it in every order; mark the "
            "scenario @every_interleaving",
        )

    def operator(self, name: str = "day") -> Operator:
        """The person of that name; see `CAST`. A name that is not there is somebody without an account."""
        user_id = CAST[name][0] if name in CAST else NOBODY
        return Operator(name=name, user_id=user_id, engine=self.engine, timeline=self.timeline, witness=self._clicks)

    def command(self, command: UUID | CreatedCommand | CancelledCommand) -> CommandView:
        """The command as it stands in the database now."""
        return self.rows.command(command if isinstance(command, UUID) else command.command_id)

    def log_of(self, command: UUID | CreatedCommand | CancelledCommand) -> list[str]:
        """The event types in the command's log, in order."""
        return self.rows.log_of(command if isinstance(command, UUID) else command.command_id)

    def audit_of(self, command: UUID | CreatedCommand | CancelledCommand) -> list[str]:
        """The audit event types about the command, in order."""
        return self.rows.audit_of(command if isinstance(command, UUID) else command.command_id)

    def proposal(self, proposal: AnyProposal) -> ProposalView:
        """The proposal's row as it stands in the database now. Raises: `LookupError` when there is none."""
        return view_proposal(self.rows, proposal)

    def asset(self, asset: str) -> AssetView:
        """The asset as the two files have it now. Raises: `LookupError` when it is in neither or in one."""
        return view_asset(self.home, asset)

    def history_of(self, asset: str) -> list[MoveView]:
        """The asset's moves, oldest first."""
        return view_history(self.rows, asset)

    def path_of(self, asset: str) -> list[str]:
        """The states that the asset went through by its history, from the first on; empty where there is none."""
        moves = self.history_of(asset)
        begun = [moves[0].state_from] if moves else []
        return [str(state) for state in (*begun, *(move.state_to for move in moves))]

    def expects(self, *reasons: Reason) -> None:
        """Commands of this story fail with exactly these reasons; one that never occurs is a breach too."""
        for reason in reasons:
            self.timeline.record(actor="scenario", kind="scenario.expects", subject=reason.value)

    def leaves_behind(self, *paths: str) -> None:
        """At its end this story has, on purpose, damaged these files or left these half done.

        The table `managed_proposals` can be named too, where its rows are left behind the files.
        """
        for path in paths:
            self.timeline.record(actor="scenario", kind="scenario.leaves", subject=path)

    @contextmanager
    def holding(self, statement: LiteralString) -> Iterator[None]:
        """Inside the block another session holds the locks that `statement` takes."""
        with self.rows.holding(statement):
            yield

    def measure(self) -> Measured:
        """The reference run's twelve metrics, read from outside now."""
        living = {child.pid: child.actor for child in self.launcher.children if child.is_running()}
        return measure(self.rows, self.home, living)

    def finish(self) -> tuple[Breach, ...]:
        """Every breach of every rule, once the story is over.

        Effects: processes are ended, and all evidence is on the timeline.
        """
        self.postgres.look()
        workers = [child.actor for child in self.launcher.children if child.is_running() and child.actor != "bot"]
        bots = [child.pid for child in self.launcher.children if child.is_running() and child.actor == "bot"]
        self.bot.close()
        self.launcher.end_all()
        self.exchange.look()
        self._looks.look()
        workers += self.launcher.left_behind()
        self.timeline.record(actor="witness", kind="processes.at_end", subject="processes", workers=workers, bots=bots)
        before, after = self._before, snapshot(self.home, self._before.files)
        said = [*self._said, *read_log(self.launcher.witness_log)[0]]
        evidence.read_audit(self.timeline, self.home, said, self.lease.address)
        evidence.read_files(self.timeline, before.files, after, self._watch.drain())
        read_sensors(self.timeline, said)
        evidence.read_portfolio(self.timeline, self.home, before.files, after, known_lines=before.journal_lines)
        evidence.read_tables(self.timeline, self.rows, self.clock.now())
        evidence.read_rest(self.timeline, self.home, self.rows)
        evidence_managed.read_managed(self.timeline, self.home)
        evidence_managed.read_states(self.timeline, self.rows)
        evidence.read_texts(self.timeline, self.home)
        evidence.read_outputs(self.timeline, self._outputs())
        evidence.read_secrets(self.timeline, [self.lease.address.password, *self.exchange.secrets])
        return judge(self.timeline)

    def mark(self) -> Mark:
        """How far the story is, for `put_back`."""
        return Mark(
            events=len(self.timeline),
            said=len(self._said),
            children=len(self.launcher.children),
            looks=self._looks.remembered(),
            reading=self.clock.reading,
            log_bytes=size_of(self.launcher.witness_log),
        )

    def put_back(self, mark: Mark, *, files_changed: bool) -> None:
        """Effects: what the stage remembers is what it did at `mark`; rows and files are put back by the caller."""
        self.timeline.rewind(mark.events)
        if files_changed:
            self._before.take_again()
        del self._said[mark.said :]
        del self.launcher.children[mark.children :]
        self._looks.remember(mark.looks)
        self.clock.put_back(mark.reading)
        if size_of(self.launcher.witness_log) > mark.log_bytes:
            os.truncate(self.launcher.witness_log, mark.log_bytes)

    @contextmanager
    def unobserved_clicks(self) -> Iterator[None]:
        """Inside the block clicks are watched as far as that can be done while others click between them."""
        self._clicks.is_in_race = True
        try:
            yield
        finally:
            self._clicks.is_in_race = False

    def unwatched(self) -> AbstractContextManager[None]:
        """Inside the block the home is changed by nobody's hand; see `Before.unwatched`."""
        return self._before.unwatched()

    def keep(self, breaches: tuple[Breach, ...], folder: Path | None = None) -> Path:
        """The forensics folder (`folder`, or one in the story's), written now; nothing unscrubbed is left beside it."""
        return keep_evidence(
            folder or self.evidence / "forensics",
            self.timeline,
            self.home,
            breaches,
            raw=self.evidence,
            secrets=[self.lease.address.password, *self.exchange.secrets],
        )

    def _outputs(self) -> list[tuple[str, Path]]:
        """What each process printed: how it is called, and the file."""
        return [
            (f"{stream} of {child.actor}", path)
            for child in self.launcher.children
            for stream, path in (("stdout", child.stdout_file), ("stderr", child.stderr_file))
        ]


@contextmanager
def open_stack(
    lease: Lease,
    folder: Path,
    *,
    zygote: Callable[[], Zygote],
    worker_command: list[str] | None = None,
    home_below: Path | None = None,
    connect: "Callable[..., psycopg.Connection[Any]]" = BoundedConnection.connect,
    stages: KeptStages | None = None,
    server: PrivateServer | None = None,
    exchange_stage: Callable[[], "ExchangeStage"] | None = None,
) -> Iterator[Stack]:
    """A stack in `folder` on a clean database, its clock standing at `STORY_BEGINS`; gone with its processes after.

    Its home is made in `home_below`, or in `folder` too where that is None. `connect` opens the connections of the
    services that operators call. `stages` are the starting facts that this process's stories have had made so far; with
    None they are made anew. `server` is the story's own, which it may break. `exchange_stage` makes an exchange.
    """
    home, kept = make_home((home_below or folder) / "home"), folder / "evidence"
    kept.mkdir()
    timeline = Timeline()
    clock_file, witness_log = kept / "clock.json", kept / "witness.jsonl"
    seat_cast(lease.connection)
    with ExitStack() as closing:
        # Once every process has gone, nothing unscrubbed is left of a story that passed either.
        closing.callback(remove_raw, kept)
        clock = closing.enter_context(VirtualClock(lease.address, clock_file=clock_file, connection=lease.connection))
        clock.freeze_at(STORY_BEGINS)
        rows = Rows(lease.address, lambda: lease.connection)
        connect_gui, connect_psql = callers_of(lease, connect)
        engine = gui_engine(url_of(lease.address), connect_gui)
        environment = _environment(lease, home)
        launcher = Launcher(kept, timeline, zygote, clock_file, witness_log)
        closing.callback(launcher.end_all)
        looks = Looks(rows=rows, home=home, timeline=timeline)
        worker = _worker_actor(launcher, looks, rows, lease, connect, environment=environment, command=worker_command)
        said: list[AuditEvent] = []
        closing.enter_context(listening(said.append))
        watch = closing.enter_context(open_home_watch(home, timeline))
        before = Before(home, watch, said)
        clicks = ClickWitness(timeline=timeline, rows=rows, looks=looks)
        day = Operator(name="day", user_id=CAST["day"][0], engine=engine, timeline=timeline, witness=clicks)
        keeper = None if stages is None else StageKeeper(stages, lease, rows, home, clock, timeline, looks, before)
        exchange = ExchangeActor(home, timeline, clock, exchange_stage or _no_exchange)
        given = _given(lease, home, worker, day, before.settle, clock, keeper)
        yield Stack(
            home=home,
            lease=lease,
            timeline=timeline,
            clock=clock,
            rows=rows,
            engine=engine,
            launcher=launcher,
            worker=worker,
            bot=BotActor(launcher=launcher, timeline=timeline, environment=environment, exchange=exchange),
            exchange=exchange,
            bus=BusActor(address=lease.address, timeline=timeline, connect=connect_psql),
            cache=CacheActor(address=lease.address, timeline=timeline, connect=connect_psql),
            faults=Faults(address=lease.address, rows=rows, home=home, spared=(kept,), timeline=timeline, clock=clock),
            given=given,
            migration=MigrationActor(address=lease.address, timeline=timeline),
            postgres=ServerActor(private=server, lease=lease, timeline=timeline),
            witness=Watching(home=home, timeline=timeline, sensors=Sensors(logs=(witness_log,))),
            evidence=kept,
            _before=before,
            _watch=watch,
            _said=said,
            _clicks=clicks,
            _looks=looks,
        )


def _given(
    lease: Lease,
    home: Path,
    worker: WorkerActor,
    day: Operator,
    settle: Callable[[], None],
    clock: VirtualClock,
    keeper: StageKeeper | None,
) -> ManagedGiven:
    return ManagedGiven(
        lease=lease,
        home=home,
        timeline=worker.timeline,
        worker=worker,
        day=day,
        settle=settle,
        clock=clock,
        rows=worker.rows,
        keeper=keeper,
    )


def _worker_actor(
    launcher: Launcher,
    looks: Looks,
    rows: Rows,
    lease: Lease,
    connect: "Callable[..., psycopg.Connection[Any]]",
    *,
    environment: Mapping[str, str],
    command: list[str] | None,
) -> WorkerActor:
    """The stack's workers, before and after which the stage looks."""
    worker = WorkerActor(
        launcher=launcher,
        rows=rows,
        timeline=launcher.timeline,
        environment=environment,
        command=command,
        look=looks.look,
    )
    worker.open_engine = lambda worker_id: open_worker_engine(lease.address, worker_id, connect)
    return worker


def _no_exchange() -> "ExchangeStage":
    raise SimError("stage/no_exchange", "this stack was opened without an exchange; pass it `exchange_stage`")


def _environment(lease: Lease, home: Path) -> dict[str, str]:
    """What a process of this stack is told."""
    return {**lease.address.environment(), "BOT_HOME": str(home), "BINANCE_TESTNET": "true"}
