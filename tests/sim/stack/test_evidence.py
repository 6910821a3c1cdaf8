"""What is read from outside when a story is over: small numbers, odd texts, torn files, and who did what."""

from pathlib import Path
from uuid import uuid4

import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.rules.g10 import order_or_exchange_call_from_worker
from sim.stack.child import wait_until
from sim.stack.evidence import read_audit
from sim.stack.outside import METRICS, before_and_after
from sim.stack.stack import Stack
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent, acting_as
from worker.contracts.commands import CommandType

DATABASE = DatabaseAddress(host="db.example", port=5432, name="stack", user="gui", password="")


def breaches_of(unjudged: Stack) -> list[tuple[str, str]]:
    return [(breach.rule, breach.actor) for breach in unjudged.finish()]


@pytest.mark.parametrize("quantity", ["0.00001", "1", "100", "0.1000", "12345.678901234"])
def test_quantity_in_file_and_cache_is_the_same_however_small(unjudged: Stack, quantity: str) -> None:
    unjudged.operator("day").apply_baseline({"BTC": quantity})
    unjudged.worker.run_once_in_process()

    assert breaches_of(unjudged) == []


def test_cache_that_differs_in_the_last_digit_is_told(unjudged: Stack) -> None:
    unjudged.operator("day").apply_baseline({"BTC": "0.00001"})
    unjudged.worker.run_once_in_process()
    unjudged.lease.connection.execute("UPDATE baseline_holdings SET quantity = 0.000010000000000000000001")

    assert breaches_of(unjudged) == [("cache_disagrees_with_files", "worker")]


@pytest.mark.parametrize(
    "payload",
    ['"\\u0000"', '{"a": "\\ud800"}', "[" * 5000 + "]" * 5000, '{"n": 1e999}', '{"a": 1, "a": 2}', "9" * 5000],
    ids=["NUL", "half surrogate", "deep", "endless", "a key twice", "many digits"],
)
def test_payload_that_hardly_anybody_can_read_is_evidence_all_the_same(unjudged: Stack, payload: str) -> None:
    unjudged.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(uuid4()), payload)
    unjudged.worker.run_once_in_process()

    # Whatever the worker made of it, the stage could read it all.
    assert {rule for rule, _ in breaches_of(unjudged)} <= {"unexpected_failure_reason"}
    assert (unjudged.keep(()) / "database" / "commands.jsonl").read_text().count("\n") == 1


def test_worker_that_leaves_a_process_behind_is_told(unjudged: Stack) -> None:
    unjudged.worker.command = ["/bin/sh", "-c", "sleep 60 >/dev/null 2>&1 &"]
    unjudged.worker.run_once("w7")

    told = [(rule, actor.rstrip("0123456789")) for rule, actor in breaches_of(unjudged)]
    assert told == [("worker_left_running", "worker:w7: process ")]


def test_file_that_a_person_changed_is_put_down_to_them(unjudged: Stack) -> None:
    with acting_as("operator:night"):
        (unjudged.home / "runtime_config.json").write_text("{}")

    found = breaches_of(unjudged)
    assert ("service_writes_state_files", "operator:night") in found
    assert "runtime_config_appears" in [rule for rule, _ in found]


@pytest.mark.parametrize("text", ["", "12", "a process", "99999999999999999999"], ids=repr)
def test_pid_file_that_names_no_running_worker_is_no_worker(unjudged: Stack, text: str) -> None:
    (unjudged.home / "logs" / "command_worker.pid").write_text(text)

    assert unjudged.measure()["logs/command_worker.pid"] == "process gone"


def test_measured_table_has_a_row_for_each_metric(unjudged: Stack) -> None:
    before = unjudged.measure()

    table = before_and_after(before, unjudged.measure()).splitlines()

    assert len(table) == len(METRICS) + 2
    assert [line.startswith(metric) for line, metric in zip(table[2:], METRICS, strict=True)] == [True] * len(METRICS)
    assert (before["worker process"], before["bot PID"], before["runtime_config.json"]) == ("none", "none", "absent")


def test_broken_story_leaves_a_folder_that_tells_it(unjudged: Stack) -> None:
    unjudged.operator("day").apply_profile(unjudged.given.reference_profile())
    with acting_as("worker:w1"):
        (unjudged.home / ".env").write_text("BINANCE_TESTNET=false\n")

    folder = unjudged.keep(unjudged.finish())

    told = (folder / "breaches.txt").read_text()
    words = [
        "BREACH env_file_changes",
        "worker:w1",
        "before",
        "after",
        "THE STORY",
        "operator.clicked",
        "given.profile",
    ]
    assert [word for word in words if word not in told] == []
    assert (folder / "home" / ".env").read_text() == "BINANCE_TESTNET=false\n"
    assert {path.stem for path in (folder / "database").iterdir()} >= {"commands", "audit_events", "config_profiles"}
    assert Path(folder / "timeline.jsonl").read_text().count("\n") == len(unjudged.timeline)


@pytest.mark.parametrize(("host", "port", "broken"), [("db.example", 5432, 0), ("db.example", 8080, 1)])
def test_host_of_the_database_is_reached_at_its_own_port_only(
    timeline: Timeline, home: Path, host: str, port: int, broken: int
) -> None:
    call = AuditEvent(at_ns=1, pid=7, actor="worker:w1", what="network.connect", detail={"host": host, "port": port})

    read_audit(timeline, home, [call], DATABASE)

    assert len(order_or_exchange_call_from_worker(timeline)) == broken


def test_change_that_no_process_told_is_put_down_to_nobody_and_not_to_the_witness(unjudged: Stack) -> None:
    unjudged.worker.command = ["/bin/sh", "-c", "echo changed >> $BOT_HOME/.env"]
    unjudged.worker.run_once("w7")

    assert breaches_of(unjudged) == [("env_file_changes", "a process that no sensor names")]


def test_change_that_its_process_told_is_put_down_to_it(unjudged: Stack) -> None:
    with acting_as("worker:w7"):
        (unjudged.home / "notes.txt").write_text("x")
    unjudged.finish()

    found = unjudged.timeline.of_kind("file.changed", "file.watched")
    assert {event.actor for event in found if event.subject == "notes.txt"} == {"worker:w7"}


SLEEPING_FAMILY = ["/bin/sh", "-c", "cd $BOT_HOME; sleep 60 & echo $!; wait"]


@pytest.mark.parametrize("command", [None, SLEEPING_FAMILY], ids=["warm", "foreign"])
def test_worker_is_measured_as_a_worker_however_it_was_started(unjudged: Stack, command: list[str] | None) -> None:
    unjudged.worker.command = command
    child = unjudged.worker.start()
    unjudged.bot.start()

    measured = unjudged.measure()

    assert measured["bot PID"] == str(unjudged.bot.pid)
    assert str(child.pid) in measured["worker process"].split(", ")
    child.kill()


def test_child_of_a_foreign_worker_is_no_bot(unjudged: Stack) -> None:
    unjudged.worker.command = SLEEPING_FAMILY
    child = unjudged.worker.start()
    wait_until(lambda: child.stdout_file.read_text().endswith("\n"), "its child")

    measured = unjudged.measure()

    assert measured["bot PID"] == "none"
    assert set(measured["worker process"].split(", ")) == {str(child.pid), child.stdout_file.read_text().strip()}
    child.kill()


def test_foreign_worker_is_not_replaced_by_ours_in_this_process(unjudged: Stack) -> None:
    unjudged.worker.command = ["/bin/true"]

    with pytest.raises(SimError) as caught:
        unjudged.worker.run_once_in_process()

    assert caught.value.code == "stage/foreign_worker"
    assert "/bin/true" in caught.value.message
    assert unjudged.timeline.of_kind("worker.run") == ()
