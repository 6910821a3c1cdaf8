"""Both files changed together; an earlier attempt's intent finished, or left for a person."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.worker.writers.file_steps import Dead, FileStep, FileSteps, play_dead_at
from tests.worker.writers.homes import (
    baseline_of,
    command_of,
    contents,
    managed_state_of,
    put_next_pair,
    recover_home,
)
from worker.contracts.errors import Reason
from worker.readers.home import Home
from worker.readers.pair import Pair, read_pair
from worker.writers.atomic import temp_path
from worker.writers.home_lock import HomeLock, HomeLockNotHeld
from worker.writers.two_files import TwoFileConflict, change_both, pending_intent, recover

LEFT_ALONE = "nothing was touched: compare with the audit snapshots and restore what belongs there"


def short_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "absent"


def put(home: Home, lock: HomeLock, *, before: Pair, generation: int, managed_generation: int | None = None) -> Pair:
    return change_both(
        home,
        lock,
        command_id=command_of(generation),
        attempt=1,
        before=before,
        baseline=baseline_of(generation),
        managed_state=managed_state_of(managed_generation or generation),
    )


def die_before_renaming(name: str) -> Callable[[int, FileStep], None]:
    def before_step(ordinal: int, step: FileStep) -> None:
        if step.target is not None and step.target.name == name:
            raise Dead

    return before_step


def die_with_the_intent_standing(home: Home, *, before_renaming: str = "managed_state.json") -> None:
    """Effects: the intent stands; unless told otherwise the first of the two renames is done, the second is not."""
    with pytest.raises(Dead), FileSteps(die_before_renaming(before_renaming)).installed():
        put_next_pair(home)


def test_first_change_creates_both_files_and_nothing_else(home: Home) -> None:
    pair = put_next_pair(home)

    assert sorted(contents(home.root)) == ["state/baseline_holdings.json", "state/managed_state.json"]
    assert (pair.baseline, pair.managed_state, pair.generation) == (baseline_of(1), managed_state_of(1), 1)
    assert read_pair(home) == pair


def test_next_change_replaces_both_files(home: Home) -> None:
    put_next_pair(home)
    pair = put_next_pair(home)

    assert pair.generation == 2
    assert read_pair(home) == pair


def test_change_without_the_lock_is_a_defect_and_changes_nothing(home: Home) -> None:
    put_next_pair(home)
    before, pair = contents(home.root), read_pair(home)

    with pytest.raises(HomeLockNotHeld):
        put(home, HomeLock(home), before=pair, generation=2)

    assert contents(home.root) == before


def test_recovery_without_the_lock_is_a_defect(home: Home) -> None:
    with pytest.raises(HomeLockNotHeld):
        recover(home, HomeLock(home))


@pytest.mark.parametrize(("generation", "managed_generation"), [(1, 1), (3, 3), (2, 3), (3, 2)])
def test_change_to_any_but_the_next_generation_is_refused(home: Home, generation: int, managed_generation: int) -> None:
    pair = put_next_pair(home)
    before = contents(home.root)

    with HomeLock(home) as lock, pytest.raises(ValueError):
        put(home, lock, before=pair, generation=generation, managed_generation=managed_generation)

    assert contents(home.root) == before


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
def test_change_of_a_file_that_moved_since_it_was_read_is_a_conflict(home: Home, name: str) -> None:
    pair = put_next_pair(home)
    was = short_hash(home.state / name)
    (home.state / name).write_text("edited by hand")
    before = contents(home.root)

    with HomeLock(home) as lock, pytest.raises(TwoFileConflict) as caught:
        put(home, lock, before=pair, generation=2)

    assert caught.value.reason is Reason.TWO_FILE_CONFLICT
    assert caught.value.message == (
        f"{home.state / name} was {was} when it was read and is {short_hash(home.state / name)} now; {LEFT_ALONE}"
    )
    assert contents(home.root) == before


@pytest.mark.parametrize(
    ("name", "moved"),
    [("baseline_holdings.json", False), ("managed_state.json", True)],
    ids=["no rename", "one rename"],
)
def test_change_over_a_standing_intent_is_a_conflict(home: Home, name: str, moved: bool) -> None:
    put_next_pair(home)
    pair = read_pair(home)
    was = short_hash(home.baseline_holdings)
    die_with_the_intent_standing(home, before_renaming=name)
    for stray in home.state.glob(".*.worker-tmp"):
        stray.unlink()
    before = contents(home.root)

    with HomeLock(home) as lock, pytest.raises(TwoFileConflict) as caught:
        put(home, lock, before=pair, generation=2)

    now = short_hash(home.baseline_holdings)
    other = [f"{home.baseline_holdings} was {was} when it was read and is {now} now"] * moved
    told = [*other, f"{home.intent} of an earlier attempt stands; recovery comes first", LEFT_ALONE]
    assert caught.value.message == "; ".join(told)
    assert contents(home.root) == before


def test_recovery_finishes_a_half_done_change_and_tells_whose_it_was(home: Home) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)

    with HomeLock(home) as lock:
        found = recover(home, lock)

    assert found.finished is not None
    assert (found.finished.command_id, found.finished.attempt, found.finished.generation) == (command_of(2), 1, 2)
    assert (read_pair(home).baseline, read_pair(home).managed_state) == (baseline_of(2), managed_state_of(2))
    assert sorted(contents(home.root)) == ["state/baseline_holdings.json", "state/managed_state.json"]


def test_recovery_where_nothing_happened_changes_nothing(home: Home) -> None:
    put_next_pair(home)
    before = contents(home.root)

    with HomeLock(home) as lock:
        found = recover(home, lock)

    assert (found.finished, found.removed) == (None, ())
    assert contents(home.root) == before


def test_recovery_finishes_without_the_dead_attempts_temporary_files(home: Home) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    temp_path(home.managed_state, owner=f"{command_of(2)}-1").unlink()

    recover_home(home)

    assert read_pair(home).managed_state == managed_state_of(2)


def test_recovery_does_not_trust_a_damaged_temporary_file(home: Home) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    temp_path(home.managed_state, owner=f"{command_of(2)}-1").write_text("{")

    recover_home(home)

    assert read_pair(home).managed_state == managed_state_of(2)


def test_recovery_with_a_whole_temporary_file_writes_no_content(home: Home) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    steps = FileSteps()

    with HomeLock(home) as lock, steps.installed():
        recover(home, lock)

    # A disk that is full cannot keep the change from being finished.
    assert [step.operation for step in steps.steps].count("write") == 0
    assert read_pair(home).generation == 2


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("{}")], ids=["deleted", "edited"])
def test_file_that_is_neither_old_nor_new_is_left_with_the_intent(
    home: Home, name: str, change: Callable[[Path], object]
) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    intent = pending_intent(home)
    assert intent is not None
    (side,) = (one for one in intent.sides if one.path.name == name)
    change(home.state / name)
    before = contents(home.root)

    with HomeLock(home) as lock, pytest.raises(TwoFileConflict) as caught:
        recover(home, lock)

    assert caught.value.reason is Reason.TWO_FILE_CONFLICT
    assert caught.value.message == (
        f"{side.path} is {short_hash(side.path)}, expected {side.before[:12]} (before command {command_of(2)}) or "
        f"{side.after_sha256[:12]} (after it); {LEFT_ALONE}"
    )
    assert contents(home.root) == before
    assert home.intent.exists()


def edited(home: Home, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(home.intent.read_text())
    change(document)
    home.intent.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "damage",
    [
        lambda home: home.intent.write_bytes(b""),
        lambda home: home.intent.write_bytes(home.intent.read_bytes()[:-40]),
        lambda home: home.intent.write_bytes(b"\xff\xfe"),
        lambda home: home.intent.write_text("[]"),
        lambda home: edited(home, lambda intent: intent.pop("managed_state")),
        lambda home: edited(home, lambda intent: intent.update(schema_version=2)),
        lambda home: edited(home, lambda intent: intent.update(generation=7)),
        lambda home: edited(home, lambda intent: intent.update(attempt=0)),
        lambda home: edited(home, lambda intent: intent.update(more=1)),
        lambda home: edited(home, lambda intent: intent["managed_state"].update(after="{}")),
        lambda home: edited(home, lambda intent: intent["managed_state"].update(after="\ud800")),
        lambda home: edited(home, lambda intent: intent["managed_state"].update(before="unknown")),
        lambda home: (home.intent.unlink(), home.intent.mkdir()),
    ],
    ids=[
        "empty",
        "truncated",
        "not UTF-8",
        "not an object",
        "side missing",
        "version unknown",
        "generation of neither file",
        "attempt zero",
        "field unknown",
        "content of no schema",
        "content not UTF-8",
        "hash malformed",
        "a folder",
    ],
)
def test_damaged_intent_is_reported_and_never_guessed(home: Home, damage: Callable[[Home], object]) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    damage(home)
    before = contents(home.root)

    with HomeLock(home) as lock, pytest.raises(TwoFileConflict):
        recover(home, lock)

    assert contents(home.root) == before


def test_recovery_removes_stray_temporary_files_and_nothing_else(home: Home) -> None:
    put_next_pair(home)
    home.audit_snapshots.mkdir()
    home.risk_proposals.mkdir()
    strays = [
        temp_path(home.baseline_holdings, owner="dead-1"),
        temp_path(home.audit_snapshot(command_of(9)), owner="dead-2"),
        temp_path(home.risk_proposal(command_of(9)), owner="dead-3"),
    ]
    for stray in [*strays, home.state / ".market_snapshot.json.tmp", home.audit_snapshot(command_of(8))]:
        stray.write_text("{")
    expected = {name for name in contents(home.root) if not name.endswith(".worker-tmp")}

    with HomeLock(home) as lock:
        found = recover(home, lock)

    assert sorted(found.removed) == sorted(strays)
    assert set(contents(home.root)) == expected


def test_change_the_schema_has_no_place_for_is_refused_and_changes_nothing(home: Home) -> None:
    pair = put_next_pair(home)
    before = contents(home.root)
    nameless = replace(baseline_of(2), holdings={"not an asset": baseline_of(2).holdings["BTC"]})

    with HomeLock(home) as lock, pytest.raises(ValueError):
        change_both(
            home,
            lock,
            command_id=command_of(2),
            attempt=1,
            before=pair,
            baseline=nameless,
            managed_state=managed_state_of(2),
        )

    assert contents(home.root) == before


def test_steps_of_a_change_are_those_of_the_contract_in_its_order(home: Home) -> None:
    put_next_pair(home)
    pair = read_pair(home)
    steps = FileSteps()

    with HomeLock(home) as lock, steps.installed():
        put(home, lock, before=pair, generation=2)

    owner = f"{command_of(2)}-1.worker-tmp"
    assert [str(step) for step in steps.steps if step.operation not in ("create", "write")] == [
        f"sync file .baseline_holdings.json.{owner}",
        f"sync file .managed_state.json.{owner}",
        f"sync file .intent.json.{owner}",
        f"rename .intent.json.{owner} -> .intent.json",
        "sync folder state",
        f"rename .baseline_holdings.json.{owner} -> baseline_holdings.json",
        f"rename .managed_state.json.{owner} -> managed_state.json",
        "sync folder state",
        "unlink .intent.json",
        "sync folder state",
    ]


def test_playing_dead_stops_every_later_step(home: Home) -> None:
    steps = FileSteps(play_dead_at(1))

    with pytest.raises(Dead), steps.installed():
        put_next_pair(home)

    assert list(home.root.iterdir()) == []
