"""What is told of a click: one transaction or several, by whom each row was written, and what was called."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from sim.stack.click_witness import Click, ClickWitness
from sim.stack.stack import Stack
from sim.witness.transactions import watching_transactions
from worker.contracts.errors import Refusal
from worker.db.session import driver, execute
from worker.writers.atomic import is_temp

INSERT = "INSERT INTO audit_events (event_type) VALUES ('managed.x')"
Act = Callable[[Stack], None]


@contextmanager
def begun(stack: Stack) -> Iterator[Connection]:
    with stack.engine.connect() as connection, connection.begin():
        yield connection


def one(stack: Stack) -> None:
    with begun(stack) as connection:
        connection.execute(text(INSERT))


def one_past_sqlalchemy(stack: Stack) -> None:
    with begun(stack) as connection:
        execute(connection, INSERT, {})


def two(stack: Stack) -> None:
    one(stack)
    one(stack)


def each_by_itself(stack: Stack) -> None:
    with stack.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, INSERT, {})


def read_only(stack: Stack) -> None:
    with begun(stack) as connection:
        connection.execute(text("SELECT 1"))


def fail_after_writing(stack: Stack) -> None:
    with begun(stack) as connection:
        connection.execute(text(INSERT))
        raise LookupError


def lose_the_server(stack: Stack) -> None:
    with begun(stack) as connection:
        stack.faults.cut([driver(connection).info.backend_pid])
        connection.execute(text("SELECT 1"))


def seen_of(stack: Stack, act: Act) -> list[dict[str, Any]]:
    with watching_transactions() as seen:
        act(stack)
    return [transaction.to_plain() for transaction in seen.transactions]


@pytest.mark.parametrize("act", [one, one_past_sqlalchemy], ids=["sqlalchemy", "driver"])
def test_transaction_is_told_with_what_it_wrote_and_how_it_ended(unjudged: Stack, act: Act) -> None:
    assert seen_of(unjudged, act) == [
        {"isolation": None, "commits_by_itself": False, "ended": "commit", "writes": ["INSERT INTO audit_events"]}
    ]


def test_reading_is_no_write(unjudged: Stack) -> None:
    assert [found["writes"] for found in seen_of(unjudged, read_only)] == [[]]


def test_two_transactions_are_told_as_two(unjudged: Stack) -> None:
    assert [found["ended"] for found in seen_of(unjudged, two)] == ["commit", "commit"]


def test_statements_that_commit_by_themselves_are_told(unjudged: Stack) -> None:
    assert [found["commits_by_itself"] for found in seen_of(unjudged, each_by_itself)] == [True]


def test_transaction_that_fails_is_told_as_rolled_back(unjudged: Stack) -> None:
    with watching_transactions() as seen, pytest.raises(LookupError):
        fail_after_writing(unjudged)

    assert [transaction.ended for transaction in seen.transactions] == ["rollback"]


def test_transaction_outside_the_block_is_not_told(unjudged: Stack) -> None:
    one(unjudged)
    with watching_transactions() as seen:
        pass
    one(unjudged)

    assert seen.transactions == []


def test_transaction_whose_server_has_gone_is_told_as_rolled_back(unjudged: Stack) -> None:
    with watching_transactions() as seen, pytest.raises(OperationalError):
        lose_the_server(unjudged)

    assert [transaction.ended for transaction in seen.transactions] == ["rollback"]


def test_click_of_a_service_is_one_transaction_that_wrote_each_of_its_rows(unjudged: Stack) -> None:
    command = unjudged.operator("day").apply_profile(unjudged.given.reference_profile())

    (transactions,) = unjudged.timeline.of_kind("service.transactions")
    (rows,) = unjudged.timeline.of_kind("click.rows")
    assert (transactions.detail["outcome"], len(transactions.detail["transactions"])) == ("clicked", 1)
    assert rows.subject == str(command.command_id)
    assert set(rows.detail["transactions"]) == {"commands", "audit_events"}
    assert len(set(rows.detail["transactions"].values())) == 1
    assert unjudged.finish() == ()


def test_click_that_finds_its_command_tells_no_rows(unjudged: Stack) -> None:
    page = unjudged.operator("day").open_profile(unjudged.given.reference_profile())
    unjudged.operator("day").click_dry_run(page)
    unjudged.operator("day").click_dry_run(page)

    assert len(unjudged.timeline.of_kind("click.rows")) == 1
    assert unjudged.finish() == ()


def test_refused_click_is_told_as_refused_and_rolled_back(unjudged: Stack) -> None:
    with pytest.raises(Refusal):
        unjudged.operator("viewer").apply_profile(unjudged.given.reference_profile())

    (told,) = unjudged.timeline.of_kind("service.transactions")
    assert (told.detail["outcome"], [one["ended"] for one in told.detail["transactions"]]) == ("refused", ["rollback"])
    assert unjudged.finish() == ()


def test_request_names_the_transaction_of_its_proposal_too(unjudged: Stack) -> None:
    unjudged.given.applied_baseline({"ETH": "2"})
    unjudged.operator("day").request("ETH")

    told = unjudged.timeline.of_kind("click.rows")[-1].detail["transactions"]
    assert set(told) == {"commands", "audit_events", "managed_proposals"}
    assert len(set(told.values())) == 1


def test_rows_that_a_worker_has_changed_since_are_left_out(unjudged: Stack) -> None:
    command = unjudged.operator("day").apply_profile(unjudged.given.reference_profile())
    unjudged.worker.run_once_in_process()

    assert set(unjudged.rows.transactions_of(command.command_id) or {}) == {"audit_events"}


def test_rows_behind_a_lock_are_left_for_another_time_and_the_lock_is_waited_for_again(unjudged: Stack) -> None:
    command = unjudged.operator("day").apply_profile(unjudged.given.reference_profile())
    with unjudged.holding("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE"):
        assert unjudged.rows.transactions_of(command.command_id) is None

    assert unjudged.rows.scalar("SHOW lock_timeout") == "0"


def test_writer_that_a_click_calls_is_told(unjudged: Stack) -> None:
    witness = ClickWitness(timeline=unjudged.timeline)
    click = Click(actor="operator:day", button="pause", subject="ETH")
    with witness.watching(click):
        is_temp("x")
        click.outcome = "clicked"

    told = unjudged.timeline.of_kind("service.called")
    assert [(event.actor, event.subject, event.detail["button"]) for event in told] == [
        ("operator:day", "worker/writers/atomic.py:is_temp", "pause")
    ]


def test_connection_of_the_stage_itself_is_not_listened_to(unjudged: Stack) -> None:
    with watching_transactions() as seen, psycopg.connect(unjudged.lease.address.conninfo()) as connection:
        connection.execute("SELECT 1")

    assert seen.transactions == []
