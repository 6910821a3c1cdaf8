"""A server that keeps the connection and says nothing any more.

Asked in review: the database's host was stopped in mid-statement, so its own timeouts never came; did the worker wait
for ever, and keep the home from everybody else?
Must hold: the worker gives up by its own clock with exit code 1, the home is free, and the next worker finishes the
command.
"""

from typing import LiteralString

import pytest

from sim.story import Stack, seconds
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
BOUND = "worker.db.session.ANSWER_TIMEOUT_S"
AT_CACHE: LiteralString = "LOCK TABLE baseline_holdings IN ACCESS EXCLUSIVE MODE"


@pytest.mark.own_worker_only("its bound is shortened inside this very process")
def test_server_that_falls_silent_at_the_result_costs_the_attempt_and_not_the_home(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})

    # Both files are written and the home lock is held; the statement that follows is never answered.
    with stack.holding(AT_CACHE), monkeypatch.context() as shortened:
        shortened.setattr(BOUND, 0.2)
        ended = stack.worker.run_once_in_process("gone")

    assert ended.exit_code == 1
    assert Reason.DATABASE_UNAVAILABLE in ended.stderr
    assert stack.command(command).status is CommandStatus.RUNNING

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.count("baseline_holdings") == 1


@pytest.mark.own_worker_only("the accepted twin of the above")
def test_server_that_answers_is_waited_for(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})

    ended = stack.worker.run_once_in_process("patient")

    assert (ended.exit_code, stack.command(command).status) == (0, CommandStatus.SUCCEEDED)
