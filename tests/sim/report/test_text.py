"""The text of a failure: which step of the story is marked."""

import pytest

from sim.report.text import tell
from sim.rules.breach import Breach
from sim.timeline import Timeline


@pytest.fixture
def timeline() -> Timeline:
    made = Timeline()
    for command in ("c1", "c2"):
        made.record(actor="operator:day", kind="operator.clicked", subject="p", button="dry run", command_id=command)
        made.record(actor="worker:w1", kind="worker.run", subject="w1", argv=["--once"])
        made.record(actor="worker:w1", kind="process.ended", subject="9", exit_code=0)
    made.record(actor="worker:w1", kind="file.audited", subject=".env", what="file.open", source="a.py:1")
    return made


def marked(timeline: Timeline, actor: str, subject: str) -> list[str]:
    breach = Breach(rule="env_file_changes", actor=actor, subject=subject, before="x", after="y")
    return [line for line in tell([breach], timeline).splitlines() if line.startswith("►")]


@pytest.mark.parametrize(
    ("actor", "subject", "ordinal"),
    [
        ("worker:w1 at a.py:1", ".env", 4),
        ("worker:w1", ".env", 4),
        ("operator:day", ".env", 3),
        ("operator:day", "command c1 (apply_profile_testnet)", 0),
    ],
)
def test_step_of_a_breach_is_marked(timeline: Timeline, actor: str, subject: str, ordinal: int) -> None:
    assert [int(line.split()[1]) for line in marked(timeline, actor, subject)] == [ordinal]


@pytest.mark.parametrize("actor", ["worker:w2", "worker:w", "somebody"])
def test_no_step_is_marked_where_the_story_has_none_of_the_actor(timeline: Timeline, actor: str) -> None:
    assert marked(timeline, actor, ".env") == []
