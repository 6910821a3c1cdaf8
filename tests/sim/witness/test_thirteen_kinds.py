"""Every kind of mutation by a real process, under every sensor; and the reader who touches nothing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.timeline import Timeline
from sim.witness import audit, mutation_kinds
from sim.witness.files import Hashing, compare, snapshot
from sim.witness.mutation_kinds import BETRAYED_BY, KINDS, Mutate
from sim.witness.no_mutation import MutationFound, Sensors, no_mutation
from sim.witness.timestamp_grain import stamps_mapped_writes
from sim.witness.watch import open_watch
from sim.witness.watch_event import WatchKind
from tests.sim.witness.children import as_ordinary_user, environment, forked, ordinary_owner, run_script

SCRIPT = Path(mutation_kinds.__file__)
CLEAN = "read_everything"

# What the sensors cannot see, each for its own reason; all else they must.
NOT_BY_AUDIT = {"write_through_outside_hard_link", "non_python_child"}
NOT_BY_INOTIFY = {"write_through_outside_hard_link"}
NOT_BY_SNAPSHOT_IN_MEMORY = {"map_and_restore"}


def happened(kind: str, home: Path) -> dict[str, set[str]]:
    """The paths that each sensor names after one process did `kind` to `home`."""
    log = home.parent / "witness.jsonl"
    before = snapshot(home, hashing=Hashing.ALL)
    with open_watch(home, WatchKind.FANOTIFY) as fanotify, open_watch(home, WatchKind.INOTIFY) as inotify:
        run_script(SCRIPT, kind, home, home.parent, **environment(log=log))
        after = snapshot(home, before, hashing=Hashing.ALL)
        events = [event for event in audit.read_log(log)[0] if event.what.startswith("file.")]
        places = [Path(place) for event in events for place in (event.path, event.to) if place is not None]
        return {
            "snapshot": {change.path for change in compare(before, after)},
            "audit": {place.relative_to(home).as_posix() for place in places if place.is_relative_to(home)},
            "inotify": {event.path for event in inotify.drain()},
            str(fanotify.kind): {event.path for event in fanotify.drain()},
        }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_mutation_is_named_by_every_sensor_that_can_see_it(kind: str, any_home: Path) -> None:
    found = happened(kind, any_home)

    path = BETRAYED_BY[kind]
    blind = set() if stamps_mapped_writes(any_home.stat().st_dev) else NOT_BY_SNAPSHOT_IN_MEMORY
    # A file that came and went leaves the snapshot nothing but its folder's new ctime.
    in_snapshot = {"runtime_config.json": "."}.get(path, path)
    assert (in_snapshot in found["snapshot"]) is (kind not in blind)
    assert (path in found["audit"]) is (kind not in NOT_BY_AUDIT)
    assert (path in found["inotify"]) is (kind not in NOT_BY_INOTIFY)
    assert path in found.get("fanotify", {path}), "where fanotify is allowed it sees everything"


def test_a_reader_is_named_by_no_sensor(any_home: Path) -> None:
    assert not any(happened(CLEAN, any_home).values())


def run_in_block(kind: str, home: Path, timeline: Timeline) -> None:
    """A worker process does `kind` while nothing may change."""
    log = home.parent / "witness.jsonl"
    with no_mutation(home, timeline, sensors=Sensors(logs=(log,))):
        timeline.record(actor="worker:w1", kind="worker.ran", subject=kind)
        run_script(SCRIPT, kind, home, home.parent, **environment(log=log))


@pytest.mark.parametrize("kind", KINDS)
def test_no_mutation_names_the_file_of_each_kind(kind: str, any_home: Path, timeline: Timeline) -> None:
    with pytest.raises(MutationFound) as raised:
        run_in_block(kind, any_home, timeline)

    assert raised.value.code == "witness/mutation"
    assert BETRAYED_BY[kind] in {mutation.path for mutation in raised.value.mutations}
    assert BETRAYED_BY[kind] in {event.subject for event in timeline.of_kind("witness.mutation")}


def test_no_mutation_holds_for_a_reader(any_home: Path, timeline: Timeline) -> None:
    run_in_block(CLEAN, any_home, timeline)

    assert len(timeline.of_kind("witness.no_mutation_held")) == 1


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder that belongs to an ordinary user, who can reach it."""
    folder = Path(tempfile.mkdtemp(prefix="sim-witness-", dir="/var/tmp"))
    os.chown(folder, *ordinary_owner())
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_catches_every_kind_and_no_reader(ordinary_folder: Path) -> None:
    caught = as_ordinary_user(lambda: _caught_as_ordinary_user(ordinary_folder))

    assert caught == {
        **{kind: [BETRAYED_BY[kind], "inotify"] for kind in KINDS},
        CLEAN: [None, "inotify"],
    }


def _caught_as_ordinary_user(folder: Path) -> dict[str, list[str | None]]:
    return {
        kind: _caught(mutate, folder / kind, BETRAYED_BY.get(kind))
        for kind, mutate in {**KINDS, CLEAN: mutation_kinds.read_everything}.items()
    }


def _caught(mutate: Mutate, outside: Path, betrayed_by: str | None) -> list[str | None]:
    """The path that betrays a kind, if it is named (None if nothing is), and which watch was in use."""
    home, timeline = outside / "home", Timeline()
    mutation_kinds.prepare(home, outside)
    found: set[str] = set()
    try:
        with no_mutation(home, timeline):
            timeline.record(actor="worker:w1", kind="worker.ran", subject=outside.name)
            assert forked(lambda: mutate(home, outside)) == 0
    except MutationFound as failure:
        found = {mutation.path for mutation in failure.mutations}
    watch = timeline.of_kind("witness.no_mutation_began")[0].detail["watch"]
    return [betrayed_by if betrayed_by in found else min(found, default=None), watch]
