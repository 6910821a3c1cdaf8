"""A started process gets what it is told and nothing of ours, and none of its family outlives the story."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.stack.child import Child, wait_until
from sim.stack.launcher import REPOSITORY, Launcher, worker_command
from sim.timeline import Timeline
from tests.sim.stack.warm_children import gone

PASSWORD = "Corr3ctHorseBatteryStaple99"
TELL_ENVIRONMENT = "import os, json; print(json.dumps(dict(os.environ)))"
STAGE_SETTINGS = {"PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONPATH", "SIM_CLOCK_FILE"}
QUIET = {"SIM_CLOCK_FILE": "", "SIM_WITNESS_LOG": ""}
CALLERS = ("GUI_DB_HOST", "GUI_DB_PASSWORD", "BINANCE_TESTNET", "PGPASSWORD", "PYTHONSTARTUP", "SIM_LANDLOCK")


def python(launcher: Launcher, script: str, **environment: str) -> Child:
    # Without the site module, no sensor is installed: these children are no workers.
    return launcher.cold([sys.executable, "-S", "-c", script], actor="worker:w1", environment=QUIET | environment)


def shell(launcher: Launcher, script: str) -> Child:
    return launcher.cold(["/bin/sh", "-c", script], actor="worker:w1", environment=QUIET)


def test_settings_of_the_caller_do_not_leak_into_a_process(launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CALLERS:
        monkeypatch.setenv(name, PASSWORD)

    found = json.loads(python(launcher, TELL_ENVIRONMENT, GUI_DB_NAME="told").wait().stdout)

    assert [name for name in CALLERS if name in found] == []
    assert found["GUI_DB_NAME"] == "told"
    assert found["PATH"] == os.environ["PATH"]
    assert set(found) >= STAGE_SETTINGS
    assert PASSWORD not in json.dumps(found)


def test_password_reaches_the_process_and_not_the_timeline(launcher: Launcher, timeline: Timeline) -> None:
    found = json.loads(python(launcher, TELL_ENVIRONMENT, GUI_DB_PASSWORD=PASSWORD).wait().stdout)

    (started,) = timeline.of_kind("process.started")
    assert found["GUI_DB_PASSWORD"] == PASSWORD
    assert started.detail["environment"]["GUI_DB_PASSWORD"] == "[scrubbed]"
    assert PASSWORD not in str(list(timeline))


def test_start_and_end_are_on_the_timeline_with_the_last_words(launcher: Launcher, timeline: Timeline) -> None:
    ended = shell(launcher, "echo out; echo err >&2; exit 7").wait()

    assert (ended.exit_code, ended.stdout, ended.stderr) == (7, "out\n", "err\n")
    told = [(event.kind, event.subject, event.actor) for event in timeline]
    assert told == [
        ("process.started", str(ended.pid), "worker:w1"),
        ("process.ended", str(ended.pid), "worker:w1"),
    ]
    assert timeline.of_kind("process.ended")[0].detail == {"exit_code": 7, "stderr": "err\n"}


def test_end_is_told_once_however_often_it_is_asked_for(launcher: Launcher, timeline: Timeline) -> None:
    child = shell(launcher, "exit 7")

    assert [child.wait().exit_code, child.kill().exit_code, child.wait().exit_code] == [7, 7, 7]
    assert not child.is_running()
    assert len(timeline.of_kind("process.ended")) == 1


def test_hung_process_is_killed_and_told_with_what_it_said(launcher: Launcher, timeline: Timeline) -> None:
    child = shell(launcher, "echo 'waiting for godot' >&2; exec sleep 60")
    wait_until(lambda: child.stderr_file.read_text() != "", "its words")

    with pytest.raises(SimError) as caught:
        child.wait(timeout_s=0.01)

    assert caught.value.code == "process/hung"
    assert [word for word in ("worker:w1", str(child.pid), "godot") if word not in caught.value.message] == []
    assert gone(child.pid)
    assert timeline.of_kind("process.ended")[0].detail["exit_code"] == -signal.SIGKILL


def test_process_that_stands_still_is_killed_all_the_same(launcher: Launcher) -> None:
    child = shell(launcher, "exec sleep 60")
    child.send(signal.SIGSTOP)

    assert launcher.end_all() == [child]
    assert child.wait().exit_code == -signal.SIGKILL


def test_only_what_still_runs_is_ended(launcher: Launcher) -> None:
    ended, running = shell(launcher, "exit 0"), shell(launcher, "exec sleep 60")
    ended.wait()

    assert launcher.end_all() == [running]
    assert launcher.end_all() == []


def test_output_of_each_process_has_files_of_its_own(launcher: Launcher) -> None:
    children = [shell(launcher, f"echo {number}") for number in range(3)]

    assert [child.wait().stdout for child in children] == ["0\n", "1\n", "2\n"]


@pytest.mark.parametrize("actor", ["worker:../../etc", "worker:" + "交易" * 64, "worker:a b"])
def test_actor_of_any_name_keeps_its_output_in_the_evidence(launcher: Launcher, actor: str) -> None:
    child = launcher.cold(["/bin/echo", "said"], actor=actor, environment=QUIET)

    assert child.wait().stdout == "said\n"
    assert child.stdout_file.parent == launcher.evidence


def test_program_that_is_not_there_is_a_clear_error(launcher: Launcher) -> None:
    with pytest.raises(SimError) as caught:
        launcher.cold(["/nonexistent/worker", PASSWORD], actor="worker:w1", environment=QUIET)

    assert caught.value.code == "process/cannot_start"
    assert PASSWORD not in str(caught.value)
    assert launcher.children == []


def test_grandchild_that_lingers_is_found_named_and_ended(launcher: Launcher) -> None:
    child = shell(launcher, "sleep 60 >/dev/null 2>&1 & echo $!")
    lingering = int(child.wait().stdout)

    assert launcher.left_behind() == [f"worker:w1: process {lingering}"]
    wait_until(lambda: gone(lingering), "the end of the lingering process")
    assert launcher.left_behind() == []


def test_family_that_ended_in_time_leaves_nothing_behind(launcher: Launcher) -> None:
    shell(launcher, "sleep 0 & wait").wait()

    assert launcher.left_behind() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{python} -m worker.command_worker", [sys.executable, "-m", "worker.command_worker"]),
        ("sh -c 'exit 0'", ["sh", "-c", "exit 0"]),
        ("  sh  ", ["sh"]),
        ("scripts/setup --x", ["scripts/setup", "--x"]),
    ],
)
def test_worker_command_is_split_as_a_shell_would(text: str, words: list[str]) -> None:
    assert worker_command(text) == words


@pytest.mark.parametrize(
    "text", ["", "   ", "sh 'unbalanced", "no-such-program", "scripts/none", "scripts", "README.md"]
)
def test_worker_command_that_starts_nothing_is_refused(text: str) -> None:
    with pytest.raises(SimError) as caught:
        worker_command(text)

    assert caught.value.code == "process/cannot_start"


def test_worker_command_is_looked_for_from_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert worker_command("scripts/setup") == ["scripts/setup"]
    assert (REPOSITORY / "scripts" / "setup").is_file()
