"""What is kept of a broken scenario is complete, readable and free of secrets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.report import forensics
from sim.report.forensics import MAX_FILE_BYTES, keep_evidence, new_folder
from sim.report.text import tell
from sim.rules.breach import Breach
from sim.timeline import Timeline

PASSWORD = "hunter2-Corr3ctHorse"
DSN = f"postgresql://trader:{PASSWORD}@db.internal:5432/gui"
BREACH = Breach(rule="env_file_changes", actor="worker:w1", subject=".env", before="x", after="y")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "state").mkdir(parents=True)
    (folder / ".env").write_text(f"BINANCE_TESTNET=true\nAPI_SECRET={PASSWORD}\n")
    (folder / "state" / "managed_state.json").write_text('{"generation": 7}\n')
    return folder


@pytest.fixture
def timeline() -> Timeline:
    made = Timeline()
    made.record(actor="operator:day", kind="operator.clicked", subject="p", button="dry run")
    made.record(actor="witness", kind="table.read", subject="audit_events", rows=[{"id": 1, "metadata": {"dsn": DSN}}])
    made.record(actor="worker:w1", kind="process.ended", subject="9", exit_code=1, stderr=f"cannot reach {DSN}")
    return made


def everything_under(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def test_folder_holds_breaches_timeline_tables_and_files(tmp_path: Path, home: Path, timeline: Timeline) -> None:
    folder = keep_evidence(tmp_path / "kept", timeline, home, [BREACH])

    told = (folder / "breaches.txt").read_text()
    events = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (folder / "database" / "audit_events.jsonl").read_text().splitlines()]
    assert [word in told for word in ("env_file_changes", "worker:w1", ".env", "operator:day")] == [True] * 4
    assert [event["kind"] for event in events] == ["operator.clicked", "table.read", "process.ended"]
    assert [row["id"] for row in rows] == [1]
    assert (folder / "home" / "state" / "managed_state.json").read_text() == '{"generation": 7}\n'


def test_no_secret_reaches_the_folder(tmp_path: Path, home: Path, timeline: Timeline) -> None:
    folder = keep_evidence(tmp_path / "kept", timeline, home, [BREACH])

    kept = everything_under(folder)
    assert PASSWORD not in kept
    assert "BINANCE_TESTNET=true" in kept


def test_file_too_large_is_named_with_its_size(tmp_path: Path, home: Path, timeline: Timeline) -> None:
    (home / "state" / "huge.json").write_bytes(b"x" * (MAX_FILE_BYTES + 1))

    folder = keep_evidence(tmp_path / "kept", timeline, home, [])

    assert (folder / "home" / "state" / "huge.json.left-out").read_text() == f"{MAX_FILE_BYTES + 1} bytes\n"
    assert not (folder / "home" / "state" / "huge.json").exists()


def test_second_writing_replaces_the_first(tmp_path: Path, home: Path, timeline: Timeline) -> None:
    keep_evidence(tmp_path / "kept", timeline, home, [BREACH])
    (home / "state" / "managed_state.json").unlink()

    folder = keep_evidence(tmp_path / "kept", timeline, home, [])

    assert not (folder / "home" / "state").exists()
    assert "BREACH" not in (folder / "breaches.txt").read_text()


def test_no_secret_is_told_on_the_terminal(timeline: Timeline) -> None:
    told = tell([replace(BREACH, after=f"found {DSN}")], timeline)

    assert PASSWORD not in told
    assert "BREACH env_file_changes" in told


def test_raw_outputs_are_moved_into_the_folder_without_their_secrets(
    tmp_path: Path, home: Path, timeline: Timeline
) -> None:
    raw = tmp_path / "evidence"
    raw.mkdir()
    for name in ("000-worker-w1.err", "000-worker-w1.out", "witness.jsonl"):
        (raw / name).write_text(f"dsn {DSN}\nthe word of this run is {PASSWORD} indeed\n")
    (raw / "clock.json").write_text("{}")

    folder = keep_evidence(raw / "forensics", timeline, home, [], raw=raw, secrets=[PASSWORD])

    assert sorted(path.name for path in raw.iterdir()) == ["clock.json", "forensics"]
    kept = sorted((folder / "raw").iterdir())
    assert [path.name for path in kept] == ["000-worker-w1.err", "000-worker-w1.out", "witness.jsonl"]
    assert "the word of this run is [scrubbed] indeed" in kept[0].read_text()
    assert PASSWORD not in everything_under(raw)


def test_raw_outputs_survive_a_second_writing(tmp_path: Path, home: Path, timeline: Timeline) -> None:
    (tmp_path / "000-worker-w1.err").write_text("it failed\n")

    for _ in range(2):
        folder = keep_evidence(tmp_path / "forensics", timeline, home, [], raw=tmp_path)

    assert (folder / "raw" / "000-worker-w1.err").read_text() == "it failed\n"


def test_folder_of_evidence_is_new_each_time_whatever_the_test_is_called(tmp_path: Path) -> None:
    names = ["sim/scenarios/bus/test_a.py::test_b[x/../y ::'z'-1]", "test_a.py::test_b", "test_a.py::" + "t" * 400]

    folders = [new_folder(tmp_path / "not" / "yet", name) for name in names * 2]

    assert [folder.name for folder in folders[1::3]] == ["test_a-test_b-1", "test_a-test_b-2"]
    assert len(set(folders)) == 6
    assert {folder.parent for folder in folders} == {tmp_path / "not" / "yet"}


def test_folder_of_evidence_beyond_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forensics, "MAX_KEPT", 1)
    new_folder(tmp_path, "test_a.py::test_b")

    with pytest.raises(SimError) as refusal:
        new_folder(tmp_path, "test_a.py::test_b")

    assert refusal.value.code == "report/too_much_evidence"
