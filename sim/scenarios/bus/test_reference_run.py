"""The reference run (G10-3c): one dry run of a profile, from click to result, and its emergency path.

Asked in review: did the dry run touch anything but its own rows, and would a stop in time have left a trail?
Must hold: twelve metrics read from outside move as the record says; portfolio, runtime and env files do not.
"""

import pytest

from sim.story import Stack, before_and_after, minutes
from worker.contracts.states import CommandStatus

EXPECTED_RESULT = {
    "ok": True,
    "dry_run": True,
    "validated": True,
    "profile_id": "b4033597-0f90-4c6a-9b55-2a31648f10d5",
    "version": 1,
    "validated_summary_keys_n": 2,
    "validated_risk_keys_n": 11,
    "would_apply": False,
    "runtime_mutation": False,
    "handler_phase": "G10-3b",
}


def test_reference_run_changes_only_the_expected_rows(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # The day before: one profile, one dry run finished long ago, a bot that trades on paper.
    profile = stack.given.reference_profile()
    stack.given.finished_dry_run(profile)
    stack.bot.start(cold=True)
    stack.bot.cycle()
    stack.clock.advance(minutes(60))
    before = stack.measure()

    # Stage 3: the command is made through the service. Stage 4: the worker runs it, once.
    with stack.witness.no_mutation():
        command = stack.operator("day").apply_profile(profile)
        ended = stack.worker.run_once("g10-3c-test-worker", cold=True)
        stack.bot.cycle()
        stack.bot.cycle()

    # Stage 5: the state is verified from outside; nothing is cleaned up.
    after = stack.measure()
    with capsys.disabled():
        print(f"\n{before_and_after(before, after)}")
    assert ended.exit_code == 0
    finished = stack.command(command)
    assert (finished.status, finished.error_message) == (CommandStatus.SUCCEEDED, None)
    assert finished.result == EXPECTED_RESULT
    assert finished.worker_id == "g10-3c-test-worker"
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_succeeded",
        "result_written",
    ]
    assert [(before[name], after[name]) for name in ("commands", "command_audit_log", "audit_events")] == [
        ("1", "2"),
        ("4", "8"),
        ("2", "3"),
    ]
    assert [(before[name], after[name]) for name in ("config_profiles", "risk_settings")] == [
        ("1", "1"),
        ("11", "11"),
    ]
    assert int(after["bot_statuses"]) == int(before["bot_statuses"]) + 2
    assert (before["runtime_config.json"], after["runtime_config.json"]) == ("absent", "absent")
    assert (before[".env mtime"], after[".env mtime"]) == ("1777991334", "1777991334")
    assert before["bot PID"] == after["bot PID"] == str(stack.bot.pid)
    assert (before["worker process"], after["worker process"]) == ("none", "none")
    assert (before["logs/command_worker.pid"], after["logs/command_worker.pid"]) == ("absent", "process gone")


def test_stop_before_the_worker_starts_leaves_the_trail(stack: Stack) -> None:
    # The command is made, and then somebody calls it off before any worker has seen it.
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    before = stack.measure()

    with stack.witness.no_mutation():
        stack.bus.delete(command.command_id)
        ended = stack.worker.run_once()

    after = stack.measure()
    assert ended.exit_code == 0
    assert (before["commands"], after["commands"]) == ("1", "0")
    assert (before["audit_events"], after["audit_events"]) == ("2", "2")
    assert stack.audit_of(command) == ["profile.apply.dry_run_requested"]


def test_deleting_a_returned_command_takes_its_log_along(stack: Stack) -> None:
    # A worker died on the command, a second one put it back, and the operator deletes it while it is pending.
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        worker.kill()
    assert stack.log_of(command) == ["started"]

    stack.bus.delete(command.command_id)

    assert stack.log_of(command) == []
    assert stack.audit_of(command) == ["profile.apply.dry_run_requested"]
