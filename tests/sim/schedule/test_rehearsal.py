"""A scenario on a real stack, played in every order: every outcome comes up, each time on a stack that is as new."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.clock import minutes
from sim.errors import SimError
from sim.postgres.leases import LeasePool
from sim.schedule.choice import Schedule
from sim.schedule.explorer import Explorer, replay
from sim.schedule.race import Reach
from sim.schedule.sessions import Sessions
from sim.schedule.settings import Settings
from sim.stack.managed_views import ProposalView
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack, open_stack
from tests.sim.stack.conftest import LazyZygote

ANYHOW = Reach("somebody moved", lambda trace: bool(trace.taken))


@pytest.fixture
def sessions(lease_pool: LeasePool) -> Iterator[Sessions]:
    with lease_pool.acquire() as lease, Sessions(lease.address, signals=lease_pool.server.supports_signals) as made:
        made.lease = lease  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def rehearsed(sessions: Sessions, tmp_path: Path, zygote: LazyZygote) -> Iterator[Stack]:
    lease = sessions.lease  # type: ignore[attr-defined]
    with open_stack(lease, tmp_path, zygote=zygote.get, connect=sessions.connect) as made:
        yield made


def approve_while_time_passes(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH", expires_in=minutes(1))
    day = stack.operator("day")
    page = day.open_proposal(proposal)
    with stack.race(reaches=ANYHOW) as race:
        race.start(day.approve, page, "balanced")
        race.start(stack.clock.advance, minutes(1), name="clock")


def decide_at_once(stack: Stack, proposal: ProposalView) -> None:
    with stack.race(reaches=ANYHOW) as race:
        race.start(stack.operator("day").approve, proposal, "balanced", confidence_override=True)
        race.start(stack.operator("night").reject, proposal, reason="spread too wide")


def test_clock_that_moves_around_a_begin_shows_both_outcomes(sessions: Sessions, rehearsed: Stack) -> None:
    # BEGIN fixes what now() says: before the move the approval is in time, after it too late.
    found = Explorer(Rehearsal(rehearsed, sessions, approve_while_time_passes), Settings(), "clock").explore()

    assert {one.words for one in found.outcomes} == {
        "day succeeded; clock succeeded",
        "day expired (expiry/proposal_expired); clock succeeded",
    }
    assert found.is_complete


def test_beginning_is_done_once_and_every_run_finds_it_as_new(sessions: Sessions, rehearsed: Stack) -> None:
    began: list[int] = []
    ended: list[int] = []

    def body(stack: Stack) -> None:
        proposal = stack.given.risk_proposed("ETH")
        began.append(len(stack.rows.query("SELECT 1 AS n FROM commands")))
        decide_at_once(stack, proposal)
        ended.append(len(stack.rows.query("SELECT 1 AS n FROM commands")))

    found = Explorer(Rehearsal(rehearsed, sessions, body), Settings(budget=5, samples=1, audits=0), "again").explore()

    assert found.runs == 5 + 1 + 2  # the budget, one with few preemptions, two by chance
    # A run that was disturbed is begun again, and counts once.
    assert (len(began), set(began), set(ended)) == (found.runs + found.disturbed, {2}, {3})


def test_beginning_that_changes_from_run_to_run_is_refused(sessions: Sessions, rehearsed: Stack) -> None:
    assets = iter(["ETH", "BTC"])

    def body(stack: Stack) -> None:
        decide_at_once(stack, stack.given.risk_proposed(next(assets)))

    with pytest.raises(SimError) as failed:
        Explorer(Rehearsal(rehearsed, sessions, body), Settings(), "changing").explore()

    assert failed.value.code == "schedule/body_differs"
    assert "is given.risk_proposed('BTC'), before it was given.risk_proposed('ETH')" in failed.value.message


def test_actor_that_starts_a_thread_is_refused(sessions: Sessions, rehearsed: Stack) -> None:
    def body(stack: Stack) -> None:
        with stack.race(reaches=ANYHOW) as race:
            race.start(lambda: threading.Thread(target=print).start(), name="threads")
            race.start(stack.operator("day").pause, "ETH")

    with pytest.raises(SimError) as failed:
        Explorer(Rehearsal(rehearsed, sessions, body), Settings(budget=1, samples=0), "threads").explore()

    assert failed.value.code == "schedule/foreign_thread"
    assert "so ended threads, an actor of the race" in failed.value.__notes__


def test_call_that_is_made_wrongly_fails_the_scenario_and_is_no_loser(sessions: Sessions, rehearsed: Stack) -> None:
    def body(stack: Stack) -> None:
        with stack.race(reaches=ANYHOW) as race:
            race.start(stack.operator("day").pause)
            race.start(stack.operator("night").pause, "ETH")

    with pytest.raises(TypeError, match="missing 1 required positional argument") as failed:
        Explorer(Rehearsal(rehearsed, sessions, body), Settings(budget=1, samples=0), "wrong call").explore()

    assert "so ended day, an actor of the race" in failed.value.__notes__


def test_answer_of_a_call_that_was_made_before_the_race_is_refused(sessions: Sessions, rehearsed: Stack) -> None:
    def body(stack: Stack) -> None:
        with stack.race(reaches=ANYHOW) as race:
            race.start(stack.given.market())  # type: ignore[arg-type, func-returns-value]

    with pytest.raises(SimError) as failed:
        Explorer(Rehearsal(rehearsed, sessions, body), Settings(budget=1, samples=0), "no call").explore()

    assert failed.value.code == "schedule/no_call"


def decide_and_work(stack: Stack, pids: list[int]) -> None:
    decide_at_once(stack, stack.given.risk_proposed("ETH"))
    pids.append(stack.worker.run_until_idle(max_commands=2).pid)


def test_worker_after_a_race_runs_in_this_process_where_many_orders_are_run(
    sessions: Sessions, rehearsed: Stack
) -> None:
    pids: list[int] = []
    rehearsal = Rehearsal(rehearsed, sessions, lambda stack: decide_and_work(stack, pids))

    found = Explorer(rehearsal, Settings(audits=0), "here").explore()

    assert found.is_complete
    assert set(pids) == {os.getpid()}
    # Nobody finds it so after the exploration.
    assert rehearsed.worker.run_once().pid != os.getpid()


def test_worker_after_a_race_is_a_process_of_its_own_where_one_order_is_replayed(
    sessions: Sessions, rehearsed: Stack
) -> None:
    pids: list[int] = []

    replay(Rehearsal(rehearsed, sessions, lambda stack: decide_and_work(stack, pids)), Schedule())

    assert len(pids) == 1
    assert os.getpid() not in pids


def test_session_of_a_worker_in_this_process_serves_the_next_one(sessions: Sessions, rehearsed: Stack) -> None:
    def session_of_a_run() -> list[int]:
        assert rehearsed.worker.run_once_in_process("w9", connect=sessions.connect).exit_code == 0
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'command_worker w9'"
        return [row["pid"] for row in rehearsed.rows.query(asked)]

    first, second = session_of_a_run(), session_of_a_run()

    assert len(first) == 1
    assert second == first
