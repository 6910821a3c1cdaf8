"""The life of an asset as it is printed: the document says what the command says, and a step that fails ends it."""

import subprocess
import sys
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.stack.stack import Stack
from sim.transcript.life import print_life
from worker.contracts.errors import Reason

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = REPOSITORY / "docs" / "life_of_an_asset.md"
TIMEOUT_S = 60


def test_document_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "sim.cli", "life-of-an-asset"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    printed, written = done.stdout.splitlines(), DOCUMENT.read_text(encoding="utf-8").splitlines()
    assert printed == written, "make it anew: sim life-of-an-asset > docs/life_of_an_asset.md"


def test_step_whose_command_fails_ends_the_transcript_in_one_sentence(stack: Stack) -> None:
    # A second active profile: whose settings the proposal should use is undecided, and the request is refused.
    stack.given.profile()
    stack.expects(Reason.PROFILE_AMBIGUOUS)
    said: list[str] = []

    with pytest.raises(SimError) as failed:
        print_life(stack, said.append)

    assert failed.value.code == "transcript/step_failed"
    assert [line for line in said if line.startswith("## ")] == [
        "## 09:00 Where it begins",
        "## 09:01 A proposal is asked for",
    ]
    assert [line for line in said if "pending → failed" in line] != []
