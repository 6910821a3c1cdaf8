"""`sim soak`: rounds of parts by seed, and what a person sees of them."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim import cli_soak, soak
from sim.cli import main
from sim.soak import PARTS, Part, run_in_project
from sim.soak import soak as play

ONE = Part("one", ("first", "--seed={seed}"))
TWO = Part("two", ("second", "{seed}"))


class Runs:
    """Stands for the commands: what was run, and with which exit code each next one ends."""

    def __init__(self, *exit_codes: int) -> None:
        self.exit_codes = list(exit_codes)
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str], output: Path) -> int:
        self.commands.append(list(command[2:]))
        output.write_text(f"said by {command[2]}\n")
        return self.exit_codes.pop(0)


def clock(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """Every look at the time is `step_s` after the one before."""
    times = iter(range(10_000))
    monkeypatch.setattr(soak, "now_s", lambda: next(times) * step_s)


def test_round_plays_every_part_with_its_seed_and_the_next_round_takes_the_next_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock(monkeypatch, 1.0)
    runs = Runs(0, 0, 0, 0)

    # A round takes six looks at the time: a second round begins, a third does not.
    played = list(play(9, seed=7, folder=tmp_path, run=runs, parts=[ONE, TWO]))

    assert runs.commands == [["first", "--seed=7"], ["second", "7"], ["first", "--seed=8"], ["second", "8"]]
    assert [(one.part.words, one.seed, one.is_red, one.seconds) for one in played] == [
        ("one", 7, False, 1.0),
        ("two", 7, False, 1.0),
        ("one", 8, False, 1.0),
        ("two", 8, False, 1.0),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed-7-part-1.log",
        "seed-7-part-2.log",
        "seed-8-part-1.log",
        "seed-8-part-2.log",
    ]


def test_one_round_is_played_however_short_the_time(tmp_path: Path) -> None:
    assert [one.part for one in play(0, seed=1, folder=tmp_path, run=Runs(0, 0), parts=[ONE, TWO])] == [ONE, TWO]


def test_red_part_is_the_last(tmp_path: Path) -> None:
    played = list(play(3600, seed=1, folder=tmp_path, run=Runs(1), parts=[ONE, TWO]))

    assert [(one.part, one.exit_code, one.is_red) for one in played] == [(ONE, 1, True)]


def test_command_is_run_and_its_output_kept(tmp_path: Path) -> None:
    output = tmp_path / "log"

    code = run_in_project([sys.executable, "-c", "import sys; print('out'); sys.exit('failed')"], output)

    assert (code, sorted(output.read_text().split())) == (1, ["failed", "out"])


def test_soak_that_is_told_to_stop_ends_once_its_command_has_put_its_own_away(tmp_path: Path) -> None:
    output = tmp_path / "log"
    # Tells the soak to stop, and goes on until it is told in its turn.
    telling = "os.kill(os.getppid(), signal.SIGTERM); signal.sigwait([signal.SIGTERM]); print('put away')"
    blocked = f"import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); {telling}"

    with pytest.raises(KeyboardInterrupt, match="told to stop"):
        run_in_project([sys.executable, "-c", blocked], output)

    assert output.read_text() == "put away\n"


def test_person_sees_each_part_and_what_repeats_a_red_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli_soak, "run_in_project", Runs(0, 3))

    seen = CliRunner().invoke(main, ["soak", "--seed", "12", "--minutes", "0", "--output", str(tmp_path)])

    lines = seen.stdout.splitlines()
    assert seen.exit_code == 1
    assert lines[0].startswith("seed 12  green")
    assert lines[0].endswith(PARTS[0].words)
    assert lines[1].startswith("seed 12  RED, exit code 3")
    assert lines[1].endswith(PARTS[1].words)
    assert lines[2:4] == ["    said by pytest", f"the whole output: {tmp_path}/seed-12-part-2.log"]
    assert lines[4].startswith("again: ")
    assert "--randomly-seed=12" in lines[4]


def test_person_sees_a_green_soak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli_soak, "run_in_project", Runs(*[0] * len(PARTS)))

    seen = CliRunner().invoke(main, ["soak", "--minutes", "0", "--output", str(tmp_path)])

    assert (seen.exit_code, seen.stdout.splitlines()[-1]) == (0, f"green: {len(PARTS)} parts")
