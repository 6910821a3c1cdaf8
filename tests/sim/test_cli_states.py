"""`sim db states`: the ten states, held against a list that another code base exported."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sim.cli import main
from tests.sim.conftest import refused
from worker.contracts.states import ManagedState


def states(*words: str | Path) -> Result:
    """What `sim db states` said; no database is needed for it."""
    return CliRunner().invoke(main, ["db", "states", *map(str, words)])


def test_states_are_shown_and_agree_with_what_was_shown(tmp_path: Path) -> None:
    shown = states()
    exported = tmp_path / "states.txt"
    exported.write_text(shown.output, encoding="utf-8")
    held = states("--against", exported)

    assert (shown.exit_code, shown.output.splitlines()) == (0, [state.value for state in ManagedState])
    assert (held.exit_code, held.output) == (0, f"{exported} names exactly the 10 states\n")


def test_foreign_list_of_states_that_differs_is_told_in_one_sentence(tmp_path: Path) -> None:
    exported = tmp_path / "gui_states.json"
    exported.write_text(json.dumps([*list(ManagedState)[1:], "Paused"]), encoding="utf-8")

    refused(states("--against", exported), str(exported), "lacks frozen", "'Paused', which is no state")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no list of states: expected a list of states, found none"),
        (b"[1]", "holds no list of states: expected states as strings, found a number"),
        (b'["frozen"', "holds no list of states: not JSON at line 1 column 10: expecting ',' delimiter"),
        (b"frozen\n\xff\xfe", "is not UTF-8 at byte 7"),
    ],
    ids=["empty", "number", "cut", "bytes"],
)
def test_file_without_a_list_of_states_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    exported = tmp_path / "states"
    exported.write_bytes(content)

    refused(states("--against", exported), f"{exported} {told}")
