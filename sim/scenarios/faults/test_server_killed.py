"""A Postgres that is killed, or shut down, and comes back.

Asked in review: the database host lost power in the evening; was a click lost that the page had called taken, and did
the worker that was at it leave anything half done?
Must hold: what was committed is there again, and what was not is nowhere; a worker whose server goes away says so with
exit code 1 and claims nothing more; the next worker finishes the command, and it has one result.
"""

import signal

import pytest

from sim.story import Stack, seconds, wait_until
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.private_server

LEASE = seconds(60)


@pytest.mark.needs_handlers("managed")
def test_click_that_was_taken_survives_the_kill_of_the_server(stack: Stack) -> None:
    # 09:00  The approval is clicked, and the page says that it was taken. The server is killed before any worker came.
    proposal = stack.given.risk_proposed("ETH")
    approval = stack.operator("day").approve(proposal, "balanced", confidence_override=True)

    stack.postgres.kill()
    stack.postgres.start()

    assert stack.command(approval).status is CommandStatus.PENDING
    assert stack.audit_of(approval) == ["managed.asset_approval_requested"]
    assert stack.worker.run_once().exit_code == 0
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE


@pytest.mark.parametrize("end", ["kill", "shut_down"])
def test_worker_whose_server_goes_away_ends_and_the_next_one_runs_on(stack: Stack, end: str) -> None:
    profile = stack.given.reference_profile()
    first = stack.operator("day").apply_profile(profile)
    worker = stack.worker.start((), "before")
    wait_until(lambda: stack.command(first).status is CommandStatus.SUCCEEDED, "the first command done")
    stack.worker.wait_until_idle(worker)

    {"kill": stack.postgres.kill, "shut_down": stack.postgres.shut_down}[end]()
    ended = worker.wait()
    stack.postgres.start()

    assert ended.exit_code == 1
    assert "database_unavailable" in ended.stderr
    second = stack.operator("day").apply_profile(profile)
    assert stack.worker.run_once("after").exit_code == 0
    assert [stack.command(command).attempts for command in (first, second)] == [1, 1]
    assert stack.command(second).status is CommandStatus.SUCCEEDED


@pytest.mark.own_worker_only("it is killed before an operation on a file that only our own worker has")
def test_host_that_dies_between_the_files_and_the_rows_is_put_right_by_the_next_worker(stack: Stack) -> None:
    # Worker and server share a host. It goes down when the second file has just been written, and the rows have not.
    proposal = stack.given.managed_active("BTC")
    pause = stack.operator("day").pause("BTC")
    dies = stack.faults.dies_before("unlink", "state/.intent.json")
    assert stack.worker.run_once("first", environment=dies).exit_code == -signal.SIGKILL
    stack.postgres.kill()
    stack.postgres.start()
    assert stack.command(pause).status is CommandStatus.RUNNING

    stack.clock.advance(LEASE)
    assert stack.worker.run_once("second").exit_code == 0

    assert stack.command(pause).status is CommandStatus.SUCCEEDED
    assert stack.log_of(pause).count("result_written") == 1
    assert stack.asset("BTC").state is ManagedState.PAUSED
    assert stack.path_of("BTC")[-2:] == ["managed_active", "paused"]
    assert stack.proposal(proposal).state is ManagedState.APPROVED
