"""`sim replay`, `sim outcomes` and `sim selftest` as a person types them, and the README's race as they print it."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.postgres.running import RunningServer
from sim.pytest_plugin import SHARED_SERVER
from sim.schedule.kept_outcomes import keep
from tests.sim.schedule.test_certificate import certificate

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
MODULE = "sim/scenarios/races/test_decisions.py"
SCENARIO = f"{MODULE}::test_approve_and_reject_have_exactly_one_winner"
TOKEN = "fv4p6y,day:insert:commands=night"
TIMEOUT_S = 200

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def on_this_server(monkeypatch: pytest.MonkeyPatch, postgres_server: RunningServer, tmp_path: Path) -> None:
    """What is started in the test uses the server of this run; the evidence of its failures lies with the test."""
    monkeypatch.setenv("PYTEST_ADDOPTS", shlex.join([f"--sim-forensics={tmp_path / 'forensics'}"]))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(SHARED_SERVER, json.dumps(postgres_server.to_plain()))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def blocks(language: str) -> list[str]:
    """The README's code blocks in that language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.usefixtures("on_this_server")
def test_race_of_the_readme_is_explored_as_it_says(tmp_path: Path) -> None:
    explored = run("pytest", "-q", "-n0", SCENARIO, "--sim-count", "0", "--sim-certificates", str(tmp_path))
    shown = run("sim.cli", "outcomes", "show", str(tmp_path))

    assert explored.returncode == 0, explored.stdout
    assert shown.stdout in blocks("text"), "make it anew: pytest sim/scenarios/races; sim outcomes show build/outcomes"
    assert shown.stdout.rstrip() in explored.stdout
    source = (REPOSITORY / MODULE).read_text(encoding="utf-8")
    [told] = [code for code in blocks("python") if code.startswith("@every_interleaving")]
    assert told in f"{source}\n"


@pytest.mark.usefixtures("on_this_server")
def test_token_of_the_readme_is_replayed_as_it_says(tmp_path: Path) -> None:
    replayed = run("sim.cli", "replay", TOKEN, MODULE, "--certificates", str(tmp_path))

    assert replayed.returncode == 0, replayed.stderr
    assert f"$ sim replay {TOKEN}\n{replayed.stdout}" in blocks("console"), "make it anew: sim replay TOKEN"


@pytest.mark.usefixtures("on_this_server")
def test_pause_without_a_terminal_copies_home_and_rows_and_goes_on() -> None:
    replayed = run("sim.cli", "replay", TOKEN, MODULE, "--pause-at", "9")
    copies = REPOSITORY / "build" / "paused" / "fv4p6y-9"

    assert replayed.returncode == 0, replayed.stderr
    assert "PAUSED where step 9 is due" in replayed.stdout
    assert "night  is about to insert commands" in replayed.stdout
    assert str(copies) in replayed.stdout
    assert (copies / "home" / "state" / "managed_state.json").exists()
    assert not (copies / "home" / ".env").exists()
    rows = json.loads((copies / "rows.json").read_text(encoding="utf-8"))
    assert "approve_managed_proposal" not in {row["command_type"] for row in rows["commands"]}
    assert "outcome  day refused" in replayed.stdout


@pytest.mark.usefixtures("on_this_server")
def test_pause_at_a_terminal_opens_a_shell_in_the_home_that_reaches_the_database(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    seen = tmp_path / "seen"
    with os.fdopen(controller, "wb", buffering=0) as keyboard:
        process = subprocess.Popen(
            [sys.executable, "-m", "sim.cli", "replay", TOKEN, MODULE, "--pause-at", "9"],
            cwd=REPOSITORY,
            env={**os.environ, "SHELL": "/bin/sh"},
            stdin=terminal,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(terminal)
        keyboard.write(
            f"psql -Atc 'SELECT count(*) FROM managed_proposals' > {seen}; ls state >> {seen}; exit\n".encode()
        )
        output, _ = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0
    assert "a shell in the home follows" in output
    assert "outcome  day refused" in output
    assert seen.read_text(encoding="utf-8").splitlines()[0] == "1"
    assert "managed_state.json" in seen.read_text(encoding="utf-8")


@pytest.mark.usefixtures("on_this_server")
def test_token_whose_step_is_gone_or_whose_scenario_is_says_so() -> None:
    gone = run("sim.cli", "replay", "fv4p6y,day:delete:commands=night", MODULE)
    nobody = run("sim.cli", "replay", "aaaaaa", MODULE)

    assert gone.returncode == nobody.returncode == 1
    assert "  failed   schedule/step_gone: " in gone.stdout
    assert "day: delete commands" in gone.stdout
    assert "schedule/unknown_scenario" in nobody.stderr
    assert len(nobody.stderr.split("\n\n")[0].splitlines()) == len(nobody.stderr.strip().splitlines()) == 1


def test_malformed_token_is_refused_in_one_sentence() -> None:
    result = CliRunner().invoke(main, ["replay", "x"])

    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert "schedule/malformed_token" in result.output


def test_new_outcome_is_exit_code_one_and_a_vanished_one_is_not(tmp_path: Path) -> None:
    keep(tmp_path / "few", certificate("both succeeded"))
    keep(tmp_path / "more", certificate("both succeeded", "night refused"))
    few, more = str(tmp_path / "few"), str(tmp_path / "more")

    appeared, vanished, same = (
        CliRunner().invoke(main, ["outcomes", "diff", *places]) for places in ((few, more), (more, few), (few, few))
    )

    assert (appeared.exit_code, vanished.exit_code, same.exit_code) == (1, 0, 0)
    assert "NEW       night refused" in appeared.output
    assert "vanished  night refused" in vanished.output
    assert same.output == "1 certificates: 0 outcomes appeared, 0 vanished\n"


def test_folder_without_certificates_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["outcomes", "show", str(tmp_path)])

    assert result.exit_code == 1
    assert "schedule/no_certificates" in result.output


@pytest.mark.usefixtures("on_this_server")
def test_orders_of_the_races_repeat_under_load_and_another_hash_seed() -> None:
    result = run("sim.cli", "selftest", "--replays", "12", MODULE)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].strip() == "12 replays, 0 divergences"
