"""The true worker as an actor: its steps, its kills, what a token repeats, and what a run proves."""

import signal
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from sim.clock import seconds
from sim.errors import SimError
from sim.postgres.leases import LeasePool
from sim.schedule.choice import Kind, Option, Schedule
from sim.schedule.crash_explorer import CrashExplorer, tell_crashes
from sim.schedule.crashing import KILLS, every_crash, every_cut, struck_by
from sim.schedule.explorer import Explorer, replay
from sim.schedule.hub import Disturbed, Moment
from sim.schedule.outcome import OutcomeKind
from sim.schedule.process_seat import ProcessSeat
from sim.schedule.race import Reach
from sim.schedule.sessions import Sessions
from sim.schedule.settings import Settings
from sim.schedule.token import read_token
from sim.stack.given import REFERENCE_PROFILE
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack, open_stack
from tests.sim.kill_points.killing import LazyZygote
from worker.contracts.states import CommandStatus

SCENARIO = "tests/sim/schedule/test_crashes.py::a_dry_run"
Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def rehearse(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path) -> Iterator[Rehearse]:
    with (
        lease_pool.acquire() as lease,
        Sessions(lease.address, signals=lease_pool.server.supports_signals) as sessions,
        open_stack(lease, tmp_path, zygote=zygote.get, connect=sessions.connect) as stack,
    ):
        yield lambda body, **named: Rehearsal(stack, sessions, body, **named)


def dry_run(stack: Stack) -> None:
    stack.given.reference_profile()
    command = stack.operator("day").apply_profile(REFERENCE_PROFILE)
    with stack.race(reaches=Reach("a worker took part", lambda trace: bool(trace.taken))) as race:
        race.worker("w1")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_every_step_of_an_unharmed_run_is_a_place_to_die(rehearse: Rehearse) -> None:
    found = CrashExplorer(rehearse(dry_run, struck_by=KILLS), SCENARIO).explore()

    assert found.is_complete
    assert (found.tried, len(found.points)) == (found.steps, found.steps)
    assert sum(one.runs for one in found.outcomes.values()) == found.steps + 1
    assert set(found.outcomes) == {"w1 succeeded", "w1 unknown"}
    steps = [str(point.instead_of) for point in found.points]
    assert steps[0] == "w1:select:alembic_version"
    assert "w1:write:logs/command_worker.pid:2" in steps
    assert steps[-1] == "w1:exit"
    assert f"{found.steps} tried of {found.steps}" in "\n".join(tell_crashes(found))


class Disturbing:
    """The strikes of a rehearsal, some of whose runs are disturbed at their fourth step."""

    def __init__(self, rehearsal: Rehearsal, *, at_runs: Container[int]) -> None:
        self._strikes, self._at_runs, self.runs = rehearsal.strikes, at_runs, count()

    def __call__(self, moment: Moment) -> Sequence[Option]:
        if len(moment.trace.taken) == 3 and next(self.runs) in self._at_runs:
            raise Disturbed
        return self._strikes(moment)


def test_run_that_is_disturbed_is_begun_anew_and_counts_once(rehearse: Rehearse) -> None:
    rehearsal = rehearse(dry_run, struck_by=KILLS)
    calm = CrashExplorer(rehearsal, SCENARIO).explore()
    disturbing = Disturbing(rehearsal, at_runs=(0, 4))
    rehearsal.hub.more_options = disturbing
    found = CrashExplorer(rehearsal, SCENARIO).explore()

    assert next(disturbing.runs) > 4
    assert (found.certificate(), found.points) == (calm.certificate(), calm.points)


def test_a_kill_is_a_signal_and_its_session_has_ended(rehearse: Rehearse) -> None:
    seats: list[ProcessSeat] = []
    left: list[list[int]] = []

    def body(stack: Stack) -> None:
        stack.given.reference_profile()
        stack.operator("day").apply_profile(REFERENCE_PROFILE)
        with stack.race() as race:
            worker = race.worker("w1")
        seats.append(worker.seat)  # type: ignore[arg-type]
        left.append(stack.rows.open_sessions(sorted(seats[-1].sessions)))
        assert (worker.killed_at is None) == (worker.outcome.kind is OutcomeKind.SUCCEEDED)

    CrashExplorer(rehearse(body, struck_by=KILLS), SCENARIO).explore()

    exits = [seat.ended.exit_code for seat in seats if seat.ended is not None]
    assert exits == [0, *[-signal.SIGKILL] * (len(seats) - 1)]
    assert all(one == [] for one in left)
    assert any(seat.sessions for seat in seats)


def test_failure_after_a_kill_names_its_step_and_the_token_repeats_it(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.given.reference_profile()
        stack.operator("day").apply_profile(REFERENCE_PROFILE)
        with stack.race() as race:
            worker = race.worker("w1")
        step = worker.killed_at
        assert step is None or (step.verb, step.ordinal) != ("update", 2), f"dies at {step}"

    rehearsal = rehearse(body, struck_by=KILLS)
    with pytest.raises(AssertionError, match="dies at w1:update:commands:2") as failure:
        CrashExplorer(rehearsal, SCENARIO).explore()

    notes = failure.value.__notes__
    assert any("is KILLED before update commands (2)" in note for note in notes)
    (token,) = (note.removeprefix("TOKEN ") for note in notes if note.startswith("TOKEN "))
    with pytest.raises(AssertionError, match="dies at w1:update:commands:2"):
        replay(rehearsal, read_token(token).schedule)


def test_the_same_schedule_takes_the_same_steps_again(rehearse: Rehearse) -> None:
    rehearsal = rehearse(dry_run, struck_by=KILLS)
    found = CrashExplorer(rehearsal, SCENARIO).explore()
    schedule = found.outcomes["w1 unknown"].schedule

    first, second = replay(rehearsal, schedule), replay(rehearsal, schedule)

    assert [(one.step, one.result) for one in first.taken] == [(one.step, one.result) for one in second.taken]
    assert first.schedule == schedule


@pytest.mark.timeout(300)
def test_kills_in_every_order_of_worker_and_clock(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.given.reference_profile()
        command = stack.operator("day").apply_profile(REFERENCE_PROFILE)
        with stack.race(reaches=Reach("both took part", lambda trace: len(trace.taken) > 1)) as race:
            race.worker("w1")
            race.start(stack.clock.advance, seconds(30), name="clock")
        assert stack.command(command).status is CommandStatus.SUCCEEDED

    rehearsal = rehearse(body, struck_by=KILLS)
    steps = len([one for one in replay(rehearsal, Schedule()).taken if one.step.actor == "w1"])
    found = Explorer(rehearsal, Settings(), SCENARIO).explore()

    assert found.is_complete
    # Before each step with the clock not yet moved, and with it moved before that step or any earlier one: the worker
    # has read the time, so each is a state of its own.
    assert found.struck == found.strikeable == steps + steps * (steps + 1) // 2
    assert {one.words for one in found.outcomes} == {"w1 succeeded; clock succeeded", "w1 unknown; clock succeeded"}


def test_a_race_in_which_nobody_can_be_struck_proves_nothing(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        with stack.race() as race:
            race.start(stack.operator("day").open_profile, REFERENCE_PROFILE)

    with pytest.raises(SimError, match="schedule/vacuous"):
        CrashExplorer(rehearse(body, struck_by=KILLS), SCENARIO).explore()


def test_a_worker_that_fails_unharmed_is_nothing_to_compare_with(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        (stack.home / "gui" / "command_bus_versions.json").write_text("{}")
        with stack.race() as race:
            race.worker("w1")

    with pytest.raises(SimError, match=r"schedule/not_whole.*exit 2"):
        CrashExplorer(rehearse(body, struck_by=KILLS), SCENARIO).explore()


def test_marks_add_up() -> None:
    @every_cut
    @every_crash
    def scenario(_: Stack) -> None: ...

    assert struck_by(scenario) == (Kind.KILL, Kind.CUT, Kind.DROP_REPLY)
    assert struck_by(dry_run) == ()
