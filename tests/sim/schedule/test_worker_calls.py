"""A scenario's calls of the stack's worker as actors of a race: a process that makes its steps, or a clear refusal."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.errors import SimError
from sim.postgres.leases import LeasePool
from sim.schedule.choice import Schedule
from sim.schedule.crashing import KILLS
from sim.schedule.explorer import replay
from sim.schedule.gate import Trace
from sim.schedule.process_seat import ProcessSeat
from sim.schedule.race import Entrant, Race
from sim.schedule.sessions import Sessions
from sim.schedule.token import read_token
from sim.stack.given import REFERENCE_PROFILE
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack, open_stack
from tests.sim.kill_points.killing import LazyZygote

Rehearse = Callable[..., Rehearsal]
Enter = Callable[[Race, Stack], Entrant]


@pytest.fixture
def rehearse(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path) -> Iterator[Rehearse]:
    with (
        lease_pool.acquire() as lease,
        Sessions(lease.address, signals=lease_pool.server.supports_signals) as sessions,
        open_stack(lease, tmp_path, zygote=zygote.get, connect=sessions.connect) as stack,
    ):
        yield lambda body, **named: Rehearsal(stack, sessions, body, **named)


def played(rehearse: Rehearse, enter: Enter, token: str = "") -> tuple[Trace, list[Entrant], list[Any]]:
    """What happened, who took part, and how the stack's processes were started."""
    entrants: list[Entrant] = []
    started: list[Any] = []

    def body(stack: Stack) -> None:
        stack.given.reference_profile()
        stack.operator("day").apply_profile(REFERENCE_PROFILE)
        with stack.race() as race:
            entrants.append(enter(race, stack))
        started.extend(stack.timeline.of_kind("process.started"))

    schedule = read_token(f"aaaaaa,{token}").schedule if token else Schedule()
    return replay(rehearse(body, struck_by=KILLS), schedule), entrants, started


def run_warm(race: Race, stack: Stack) -> Entrant:
    return race.start(stack.worker.run_once)


def run_cold(race: Race, stack: Stack) -> Entrant:
    return race.start(stack.worker.run_once, cold=True)


def run_idle(race: Race, stack: Stack) -> Entrant:
    return race.start(stack.worker.run_until_idle, 1, "w1")


def be_worker(race: Race, stack: Stack) -> Entrant:
    return race.worker("w1")


def be_cold_worker(race: Race, stack: Stack) -> Entrant:
    return race.worker("w1", cold=True)


@pytest.mark.parametrize(
    ("enter", "first_word"),
    [
        (run_warm, "--once"),
        (run_idle, "--max-iterations"),
        (run_cold, "-m"),
        (be_worker, "--once"),
        (be_cold_worker, "-m"),
    ],
)
def test_worker_that_a_race_starts_makes_its_steps(rehearse: Rehearse, enter: Enter, first_word: str) -> None:
    trace, (worker,), (started,) = played(rehearse, enter)

    steps = [str(one.step) for one in trace.taken]
    assert (steps[0], steps[-1]) == ("w1:select:alembic_version", "w1:exit")
    assert {"w1:write:logs/command_worker.pid", "w1:update:commands:2"} <= set(steps)
    assert isinstance(worker.seat, ProcessSeat)
    # All it said is its log's line: the end of the process is no trouble to the hooks.
    assert (worker.value.exit_code, worker.value.stderr.count("\n")) == (0, 1)
    # A Python of its own is started by a command line, a forked one is told its module.
    assert started.detail["argv"][1] == first_word


def test_cold_worker_is_killed_at_its_step(rehearse: Rehearse) -> None:
    token = "w1:update:commands:2=w1+kill"
    _, (worker,), _ = played(rehearse, run_cold, token)

    assert str(worker.killed_at) == "w1:update:commands:2"


def test_worker_is_told_what_the_call_tells(rehearse: Rehearse) -> None:
    def enter(race: Race, stack: Stack) -> Entrant:
        return race.start(stack.worker.run_once, "w7", environment={"BINANCE_TESTNET": "yes"})

    _, (worker,), (started,) = played(rehearse, enter)

    assert (worker.name, worker.outcome.code, worker.outcome.value.exit_code) == ("w7", "exit 2", 2)
    assert "BINANCE_TESTNET" in worker.outcome.value.stderr
    assert started.detail["environment"]["WORKER_ID"] == "w7"


def test_second_worker_of_one_name_has_another(rehearse: Rehearse) -> None:
    def enter(race: Race, stack: Stack) -> Entrant:
        race.start(stack.worker.run_once)
        return race.start(stack.worker.run_once)

    _, (second,), _ = played(rehearse, enter)

    assert second.name == "w12"


@pytest.mark.parametrize("name", ["run_once_in_process", "run_earlier", "start", "stop"])
def test_call_that_would_run_past_the_director_is_refused(rehearse: Rehearse, name: str) -> None:
    def enter(race: Race, stack: Stack) -> Entrant:
        return race.start(getattr(stack.worker, name), *([None] if name == "stop" else []))

    with pytest.raises(SimError, match=r"schedule/undirected_worker.*race\.worker"):
        played(rehearse, enter)


def test_directed_worker_is_an_actor_of_this_process(rehearse: Rehearse) -> None:
    _, (worker,), _ = played(rehearse, lambda race, stack: race.start(stack.worker.directed("w1").run_once))

    assert not isinstance(worker.seat, ProcessSeat)
    assert worker.value == 1
