"""One click sent twice, and two clicks that look alike.

Asked in review: the operator double-clicked, or the page was sent again after a timeout; how many commands ran?
Must hold: one click id, one command; another page, another command; a click that now means something else is refused.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sim.story import Stack, wait_until
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal, TransientError
from worker.contracts.states import CommandStatus

COUNTED = ("commands", "command_audit_log", "audit_events")


def test_page_clicked_twice_makes_one_command(stack: Stack) -> None:
    page = stack.operator("day").open_profile(stack.given.reference_profile())

    first = stack.operator("day").click_dry_run(page)
    second = stack.operator("day").click_dry_run(page)

    assert (first.created, second.created) == (True, False)
    assert first.command_id == second.command_id
    assert stack.rows.count("commands") == 1
    assert stack.audit_of(first) == ["profile.apply.dry_run_requested"]


def test_two_pages_make_two_commands(stack: Stack) -> None:
    profile = stack.given.reference_profile()

    first = stack.operator("day").apply_profile(profile)
    second = stack.operator("day").apply_profile(profile)

    assert (first.created, second.created) == (True, True)
    assert first.command_id != second.command_id
    assert stack.rows.count("commands") == 2


def test_page_clicked_again_after_its_command_ran_gets_that_command(stack: Stack) -> None:
    # A key is never used again: the late click shows what came of the first, and runs nothing.
    page = stack.operator("day").open_profile(stack.given.reference_profile())
    first = stack.operator("day").click_dry_run(page)
    stack.worker.run_once()
    log = stack.log_of(first)

    again = stack.operator("day").click_dry_run(page)
    stack.worker.run_once()

    assert (again.created, again.command_id, again.status) == (False, first.command_id, CommandStatus.SUCCEEDED)
    assert stack.log_of(first) == log


def test_page_clicked_again_after_its_command_was_cancelled_does_not_revive_it(stack: Stack) -> None:
    page = stack.operator("day").open_profile(stack.given.reference_profile())
    first = stack.operator("day").click_dry_run(page)
    stack.operator("day").cancel(first)

    again = stack.operator("day").click_dry_run(page)
    stack.worker.run_once()

    assert (again.created, again.command_id, again.status) == (False, first.command_id, CommandStatus.CANCELLED)
    assert stack.log_of(first) == ["cancelled"]


def test_same_click_on_an_edited_profile_is_refused_and_names_the_winner(stack: Stack) -> None:
    # Between the two sendings somebody changed a setting without a new version: the click would mean something else.
    profile = stack.given.reference_profile()
    page = stack.operator("day").open_profile(profile)
    winner = stack.operator("day").click_dry_run(page)
    stack.given.risk_is_now(profile, fee_buffer_pct="0.003")
    before = stack.measure()

    with pytest.raises(ProposalAlreadyDecided) as refused:
        stack.operator("day").click_dry_run(page)

    assert refused.value.reason is Reason.ALREADY_DECIDED
    assert refused.value.winner == str(winner.command_id)
    assert stack.measure() == before


def test_new_click_on_the_edited_profile_makes_a_command(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    first = stack.operator("day").apply_profile(profile)
    stack.given.risk_is_now(profile, fee_buffer_pct="0.003")

    second = stack.operator("day").apply_profile(profile)

    assert second.created
    assert second.checksum != first.checksum


def test_same_holdings_from_two_pages_make_one_baseline_command(stack: Stack) -> None:
    # A baseline is known by what it says, not by the click: the same list entered again asks for the same change.
    first = stack.operator("day").apply_baseline({"BTC": "0.5", "ETH": "2"})
    reordered = stack.operator("day").apply_baseline({"ETH": "2.00", "BTC": "0.50"})

    assert (first.created, reordered.created) == (True, False)
    assert first.command_id == reordered.command_id
    assert stack.audit_of(first) == ["baseline.apply_requested"]


def test_other_holdings_make_another_baseline_command(stack: Stack) -> None:
    first = stack.operator("day").apply_baseline({"BTC": "0.5"})
    other = stack.operator("day").apply_baseline({"BTC": "0.6"})

    assert (first.created, other.created) == (True, True)
    assert first.command_id != other.command_id


def test_baseline_that_stands_already_is_refused(stack: Stack) -> None:
    stack.given.applied_baseline({"BTC": "0.5"})
    before = stack.measure()

    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_baseline({"BTC": "0.5"})

    assert refused.value.reason is Reason.BASELINE_ALREADY_APPLIED
    assert [stack.measure()[name] for name in COUNTED] == [before[name] for name in COUNTED]


def test_two_sendings_of_one_click_at_the_same_time_make_one_command(stack: Stack) -> None:
    # Both stand before their INSERT when the table is let go.
    page = stack.operator("day").open_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(2) as browsers:
        with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
            clicks = [browsers.submit(stack.operator("day").click_dry_run, page) for _ in range(2)]
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 2, "both clicks at their INSERT")
        commands = [click.result() for click in clicks]

    assert sorted(command.created for command in commands) == [False, True]
    assert len({command.command_id for command in commands}) == 1
    assert [stack.measure()[name] for name in COUNTED] == ["1", "0", "2"]


def test_click_that_meets_its_twin_before_the_commit_waits_for_it(stack: Stack) -> None:
    # The first sending has written its command and stands before its audit event; the second finds the key taken by
    # somebody who has not committed.
    page = stack.operator("day").open_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(2) as browsers:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            first = browsers.submit(stack.operator("day").click_dry_run, page)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the first click before its audit event")
            second = browsers.submit(stack.operator("day").click_dry_run, page)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 2, "the second click waiting for the first")
        winner, loser = first.result(), second.result()

    assert (winner.created, loser.created) == (True, False)
    assert winner.command_id == loser.command_id
    assert stack.audit_of(winner) == ["profile.apply.dry_run_requested"]


def test_click_whose_twin_dies_before_the_commit_makes_the_command(stack: Stack) -> None:
    # The same meeting, but the first sending's connection is cut: nothing of it stays, and the second one counts.
    page = stack.operator("day").open_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(2) as browsers:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            first = browsers.submit(stack.operator("day").click_dry_run, page)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the first click before its audit event")
            held = stack.rows.waiting_sessions()
            second = browsers.submit(stack.operator("day").click_dry_run, page)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 2, "the second click waiting for the first")
            stack.faults.cut(held)
        with pytest.raises(TransientError) as failed:
            first.result()
        survivor = second.result()

    assert failed.value.reason is Reason.DATABASE_UNAVAILABLE
    assert survivor.created
    assert [stack.measure()[name] for name in COUNTED] == ["1", "0", "2"]
    assert stack.audit_of(survivor) == ["profile.apply.dry_run_requested"]


def test_same_baseline_sent_from_two_pages_at_the_same_time_makes_one_command(stack: Stack) -> None:
    with ThreadPoolExecutor(2) as browsers:
        with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
            clicks = [browsers.submit(stack.operator("day").apply_baseline, {"BTC": "0.5"}) for _ in range(2)]
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 2, "both clicks at their INSERT")
        commands = [click.result() for click in clicks]

    assert sorted(command.created for command in commands) == [False, True]
    assert [stack.measure()[name] for name in COUNTED] == ["1", "0", "1"]


def test_same_baseline_from_two_people_is_two_commands(stack: Stack) -> None:
    # The requester is part of what a command says, so nobody's request is put down to somebody else.
    day = stack.operator("day").apply_baseline({"BTC": "0.5"})
    night = stack.operator("night").apply_baseline({"BTC": "0.5"})

    assert (day.created, night.created) == (True, True)
    assert day.command_id != night.command_id
