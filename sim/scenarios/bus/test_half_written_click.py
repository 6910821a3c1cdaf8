"""A click whose connection goes away between the command and its audit event.

Asked in review: could a worker ever have seen a command that no audit event speaks of?
Must hold: command and audit event are one transaction; nobody sees the one before the other, and both stay or neither.
"""

from concurrent.futures import ThreadPoolExecutor

from sim.story import Stack, wait_until
from worker.contracts.errors import Reason, TransientError
from worker.contracts.states import CommandStatus


def test_click_cut_before_its_audit_event_leaves_nothing(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    with ThreadPoolExecutor(1) as browser:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            click = browser.submit(stack.operator("day").apply_profile, profile)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the click before its audit event")
            seen = stack.rows.count("commands")
            stack.faults.cut()
        failure = click.exception()

    assert (seen, stack.rows.count("commands")) == (0, 0)
    assert isinstance(failure, TransientError)
    assert failure.reason is Reason.DATABASE_UNAVAILABLE


def test_click_that_only_waits_for_its_audit_event_writes_both(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    with ThreadPoolExecutor(1) as browser:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            click = browser.submit(stack.operator("day").apply_profile, profile)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the click before its audit event")
        command = click.result()

    assert stack.command(command).status is CommandStatus.PENDING
    assert stack.audit_of(command) == ["profile.apply.dry_run_requested"]


def test_cancel_cut_before_its_audit_event_leaves_the_command_pending(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(1) as browser:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            click = browser.submit(stack.operator("night").cancel, command)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the cancel before its audit event")
            stack.faults.cut()
        failure = click.exception()

    assert isinstance(failure, TransientError)
    assert stack.command(command).status is CommandStatus.PENDING
    assert stack.log_of(command) == []


def test_cancel_that_only_waits_for_its_audit_event_writes_both(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(1) as browser:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            click = browser.submit(stack.operator("night").cancel, command)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the cancel before its audit event")
        click.result()

    assert stack.command(command).status is CommandStatus.CANCELLED
    assert stack.audit_of(command)[-1] == "profile.apply.command_cancelled"
