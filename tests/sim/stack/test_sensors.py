"""A sensor that sees nothing is told, and where a process cannot be listened to, the kernel keeps it from others."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.stack import confined
from sim.stack.launcher import Launcher
from sim.stack.sensors import BLIND, accepted, blind_sensors, open_home_watch, read_sensors, told_calls
from sim.stack.stack import Stack
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent, read_log
from sim.witness.calls import Calls
from sim.witness.watch import Watch
from sim.witness.watch_event import WatchKind

# Neither the site module nor the environment: no sensor of the stack is installed in it.
UNHEARD = [sys.executable, "-I", "-S", "-c"]
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', {port}), 5); sys.exit(9)"
NO_LANDLOCK = {"enforced": False, "abi": 0, "missing": ["files", "network"], "reason": "this kernel has no Landlock"}
OLD_LANDLOCK = {"enforced": True, "abi": 3, "missing": ["network"], "reason": "in force, ABI 3"}


@pytest.fixture
def exchange() -> Iterator[int]:
    """The port of somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def started(timeline: Timeline, *said: tuple[str, dict[str, object]]) -> list[str]:
    """What is told of a worker process that said this."""
    timeline.record(actor="worker:w1", kind="process.started", subject="7")
    read_sensors(
        timeline, [AuditEvent(at_ns=1, pid=7, actor="worker:w1", what=what, detail=detail) for what, detail in said]
    )
    return [event.subject for event in timeline.of_kind(BLIND)]


def test_worker_that_no_sensor_hears_reaches_nobody_and_is_listed(unjudged: Stack, exchange: int) -> None:
    unjudged.worker.command = [*UNHEARD, CONNECT.format(port=exchange)]

    ended = unjudged.worker.run_once("w7")

    assert (ended.exit_code, "PermissionError" in ended.stderr) == (1, True)
    assert unjudged.finish() == ()
    (told,) = blind_sensors(unjudged.timeline)
    assert told.startswith("audit hook of worker:w7: ")


def test_worker_reaches_the_port_of_the_database_it_was_told(unjudged: Stack, exchange: int) -> None:
    unjudged.worker.command = [*UNHEARD, CONNECT.format(port=exchange)]
    told = {"GUI_DB_HOST": "127.0.0.1", "GUI_DB_PORT": str(exchange)}

    assert unjudged.worker.run_once(environment=told).exit_code == 9


def test_program_that_is_not_confined_reaches_anybody(launcher: Launcher, exchange: int) -> None:
    child = launcher.cold([*UNHEARD, CONNECT.format(port=exchange)], actor="worker:w1", environment={})

    assert child.wait().exit_code == 9


def test_our_own_worker_is_heard_and_confined(unjudged: Stack) -> None:
    unjudged.operator("day").apply_profile(unjudged.given.reference_profile())

    assert [unjudged.worker.run_once(cold=cold).exit_code for cold in (False, True)] == [0, 0]
    assert unjudged.finish() == ()
    said = read_log(unjudged.launcher.witness_log)[0]
    assert [event.what for event in said].count("landlock.restricted") == 2
    assert blind_sensors(unjudged.timeline) == []


def test_worker_that_starts_a_program_breaks_the_rule(unjudged: Stack) -> None:
    unjudged.worker.command = [sys.executable, "-c", "import subprocess; subprocess.run(['/bin/true'])"]
    unjudged.worker.run_once("w7")

    assert [(breach.rule, breach.actor, breach.subject) for breach in unjudged.finish()] == [
        ("order_or_exchange_call_from_worker", "worker:w7", "/bin/true")
    ]


def test_confined_program_is_the_process_itself_with_its_arguments_and_signals(unjudged: Stack) -> None:
    unjudged.worker.command = ["/bin/sh", "-c", 'echo $$ "$@"; kill -PIPE $$', "sh"]

    ended = unjudged.worker.run_once()

    assert ended.stdout == f"{ended.pid} --once\n"
    assert ended.exit_code == -13


def test_command_that_cannot_start_says_so(unjudged: Stack) -> None:
    unjudged.worker.command = ["/nonexistent/worker"]

    ended = unjudged.worker.run_once()

    assert ended.exit_code == 127
    assert ended.stderr == "cannot start '/nonexistent/worker': No such file or directory; check --worker-command\n"


@pytest.mark.parametrize(
    ("told", "ports"),
    [
        ({"GUI_DB_HOST": "db", "GUI_DB_PORT": "6543"}, [6543]),
        ({"GUI_DB_HOST": "db"}, [5432]),
        ({"GUI_DB_HOST": "/run/postgresql", "GUI_DB_PORT": "5432"}, []),
        ({"GUI_DB_PORT": "5432"}, []),
        ({"GUI_DB_HOST": "db", "GUI_DB_PORT": "five"}, []),
        ({"GUI_DB_HOST": "db", "GUI_DB_PORT": "65536"}, []),
        ({"GUI_DB_HOST": "db", "GUI_DB_PORT": "9" * 5000}, []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_only_the_port_of_the_database_is_open(told: dict[str, str], ports: list[int]) -> None:
    assert json.loads(confined.rights(told)) == {"writable": ["/"], "connect_tcp_ports": ports}


def test_rights_taken_away_before_stay_taken() -> None:
    told = {"GUI_DB_HOST": "db", "SIM_LANDLOCK": '{"writable": ["/tmp"]}'}

    assert json.loads(confined.rights(told)) == {"writable": ["/tmp"], "connect_tcp_ports": [5432]}


def test_process_that_says_nothing_is_blind_in_both_ways(timeline: Timeline) -> None:
    assert started(timeline) == ["audit hook", "connections"]


@pytest.mark.parametrize("outcome", [NO_LANDLOCK, OLD_LANDLOCK], ids=["none", "ABI 3"])
def test_kernel_that_cannot_confine_is_told_with_its_reason(timeline: Timeline, outcome: dict[str, object]) -> None:
    assert started(timeline, ("sensor.installed", {}), ("landlock.restricted", outcome)) == ["connections"]
    assert str(outcome["reason"]) in blind_sensors(timeline)[0]


def test_words_of_another_process_of_that_worker_do_not_count(timeline: Timeline) -> None:
    timeline.record(actor="worker:w1", kind="process.started", subject="8")
    timeline.record(actor="bot", kind="process.started", subject="9")

    assert started(timeline, ("sensor.installed", {}), ("landlock.restricted", {"enforced": True, "missing": []})) == [
        "audit hook",
        "connections",
    ]


def test_worker_whose_log_the_story_switched_off_is_told(timeline: Timeline) -> None:
    timeline.record(actor="worker:w1", kind="process.started", subject="7", environment={"SIM_WITNESS_LOG": ""})
    read_sensors(timeline, [])

    assert blind_sensors(timeline) == ["audit hook of worker:w1: the story switched its log off"]


def test_home_is_watched(home: Path, timeline: Timeline) -> None:
    with open_home_watch(home, timeline) as watch:
        assert watch.kind is WatchKind.INOTIFY
    assert blind_sensors(timeline) == []


def test_linux_without_a_watch_is_no_stage(home: Path, timeline: Timeline) -> None:
    with pytest.raises(SimError) as caught:
        accepted(Watch(None, "inotify_init1: Too many open files"), home, timeline, "linux")

    assert caught.value.code == "witness/no_watch"
    assert [word for word in (str(home), "Too many open files") if word not in caught.value.message] == []


def test_system_without_a_watch_is_told(home: Path, timeline: Timeline) -> None:
    with accepted(Watch(None, "darwin has neither"), home, timeline, "darwin") as watch:
        assert watch.drain() == ()

    (told,) = blind_sensors(timeline)
    assert told.startswith("watch of the home of witness: ")
    assert told.endswith("darwin has neither")


@pytest.mark.parametrize(("is_blind", "sentences"), [(True, 1), (False, 0)])
def test_click_whose_calls_could_not_be_seen_is_blind(timeline: Timeline, is_blind: bool, sentences: int) -> None:
    told_calls(
        timeline, Calls(seen=["worker/risk/engine.py:assess"], is_blind=is_blind), actor="operator:day", button="x"
    )
    assert [event.subject for event in timeline.of_kind("service.called")] == ["worker/risk/engine.py:assess"]
    assert len(blind_sensors(timeline)) == sentences


def told_of_a_bot(*said: tuple[str, dict[str, object]], cycles: int = 1) -> list[str]:
    """What was blind of a bot's process that said this and ran so many cycles."""
    timeline = Timeline()
    for _ in range(cycles):
        timeline.record(actor="bot", kind="bot.cycled", subject="7")
    read_sensors(timeline, [AuditEvent(at_ns=1, pid=7, actor="bot", what=what, detail=detail) for what, detail in said])
    return blind_sensors(timeline)


def test_bot_whose_services_are_watched_is_not_blind_and_one_that_never_said_so_is() -> None:
    seen: tuple[str, dict[str, object]] = ("services.watched", {})

    assert told_of_a_bot(seen, ("service.transactions", {"is_blind": False})) == []
    assert told_of_a_bot(cycles=0) == []
    assert told_of_a_bot(cycles=2) == ["calls of services of bot: it never said that it is watched"]
    assert len(told_of_a_bot(seen, ("service.transactions", {"is_blind": True}))) == 1


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_flag_of_the_bots_own_process_is_on_the_timeline(unjudged: Stack, cold: bool) -> None:
    unjudged.given.portfolio({"ETH": "1.5"})
    unjudged.given.managed_active("ETH")
    unjudged.bot.start(cold=cold)
    unjudged.bot.cycle()
    unjudged.bot.stop()

    assert unjudged.finish() == ()
    (flag,) = [one for one in unjudged.timeline.of_kind("service.transactions") if one.actor == "bot"]
    assert (flag.subject, flag.detail["outcome"]) == ("ETH", "clicked")
    assert [(one["ended"], len(one["writes"])) for one in flag.detail["transactions"]] == [("commit", 3)]
    assert blind_sensors(unjudged.timeline) == []
