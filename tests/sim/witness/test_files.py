"""Snapshots: what is told apart, what is hashed, and what a coarse clock could hide."""

import hashlib
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.witness.files import Change, FileKind, Hashing, compare, matches_any, snapshot
from sim.witness.timestamp_grain import is_fine_grained, real_now_ns, wait_for_next_tick

NO_DEVICE = 0


def differences(home: Path, act: Callable[[Path], object], hashing: Hashing = Hashing.MOVED) -> dict[str, Change]:
    before = snapshot(home)
    act(home)
    return {change.path: change.what for change in compare(before, snapshot(home, before, hashing=hashing))}


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param(
            lambda home: (home / "new").write_text("x"), {".": "touched-and-restored", "new": "created"}, id="new file"
        ),
        pytest.param(
            lambda home: (home / "new").mkdir(), {".": "touched-and-restored", "new": "created"}, id="new folder"
        ),
        pytest.param(lambda home: (home / ".env").write_text("A=1"), {".env": "content"}, id="other content"),
        pytest.param(lambda home: (home / ".env").chmod(0o600), {".env": "metadata"}, id="other mode"),
        pytest.param(lambda home: os.utime(home / ".env", (1, 1)), {".env": "touched-and-restored"}, id="other times"),
        pytest.param(lambda home: (home / "state").chmod(0o700), {"state": "metadata"}, id="other mode of a folder"),
        pytest.param(
            lambda home: (home / "live_portfolio.json").unlink(),
            {".": "touched-and-restored", "live_portfolio.json": "removed"},
            id="removed",
        ),
        pytest.param(
            lambda home: os.link(home / "live_portfolio.json", home.parent / "stolen"),
            {"live_portfolio.json": "metadata"},
            id="a second name outside",
        ),
        pytest.param(lambda home: list(home.rglob("*")), {}, id="looked at"),
        pytest.param(lambda home: (home / ".env").read_bytes(), {}, id="read"),
    ],
)
def test_a_change_is_told_by_its_kind(act: Callable[[Path], object], expected: dict[str, str], home: Path) -> None:
    assert differences(home, act) == expected


def test_a_symlink_with_another_target_is_other_content(home: Path) -> None:
    def retarget(home: Path) -> None:
        (home / "current").unlink()
        (home / "current").symlink_to("logs")

    assert differences(home, retarget)["current"] is Change.CONTENT


def test_a_file_in_place_of_a_folder_is_other_content(home: Path) -> None:
    def replace(home: Path) -> None:
        (home / "logs").rmdir()
        (home / "logs").write_text("")

    assert differences(home, replace)["logs"] is Change.CONTENT


def test_a_state_names_inode_hash_and_target(home: Path) -> None:
    found = snapshot(home)

    env, link, absent = found.state(".env"), found.state("current"), found.state("runtime_config.json")
    assert env is not None
    assert (env.kind, env.inode) == (FileKind.FILE, (home / ".env").stat().st_ino)
    assert env.sha256 == hashlib.sha256(b"BINANCE_TESTNET=true\n").hexdigest()
    assert link is not None
    assert (link.kind, link.target) == (FileKind.SYMLINK, "state")
    assert absent is None


def test_a_page_dirty_before_the_snapshot_is_caught_by_its_content(home: Path) -> None:
    with (home / "plain.bin").open("w+b") as stream:
        stream.write(b"a" * 4096)
        stream.flush()
        with mmap.mmap(stream.fileno(), 0) as view:
            view[0:1] = b"b"
            found = differences(home, lambda _: view.__setitem__(slice(0, 1), b"c"), Hashing.ALL)

    assert found == {"plain.bin": Change.CONTENT}


def test_an_unmoved_file_is_not_read_again_unless_protected(home: Path) -> None:
    (home / "plain.bin").write_bytes(b"x")
    before = snapshot(home)
    trusted = snapshot(home, before)

    assert trusted.hashes["plain.bin"] is before.hashes["plain.bin"]
    assert trusted.hashes[".env"] is not before.hashes[".env"]
    assert trusted.hashes[".env"] == before.hashes[".env"]


def test_a_change_right_after_a_snapshot_shows_every_time(home: Path) -> None:
    for round_number in range(50):
        missed = {path for path in (".env",) if path not in differences(home, _overwrite_with_the_same)}
        assert not missed, f"round {round_number}"


def _overwrite_with_the_same(home: Path) -> None:
    content = (home / ".env").read_bytes()
    with (home / ".env").open("r+b") as stream:
        stream.write(content)


def test_a_coarse_clock_is_waited_for_within_a_bound() -> None:
    waited = wait_for_next_tick(real_now_ns(), NO_DEVICE)

    assert 0 < waited < 0.1
    assert wait_for_next_tick(real_now_ns() - 1_000_000_000, NO_DEVICE) == 0


def test_a_clock_that_lies_in_the_future_ends_the_wait_at_its_bound() -> None:
    started = time.monotonic()

    wait_for_next_tick(real_now_ns() + 3_600_000_000_000, NO_DEVICE)

    assert time.monotonic() - started < 1
    assert not is_fine_grained(NO_DEVICE)


@pytest.mark.parametrize("place", ["absent", ".env"])
def test_a_home_that_is_no_folder_is_refused(place: str, home: Path) -> None:
    with pytest.raises(SimError) as raised:
        snapshot(home / place)

    assert raised.value.code == "witness/no_home"


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("state/audit_snapshots/1.json", "state/audit_snapshots/*", True),
        ("state/audit_snapshots/deep/1.json", "state/audit_snapshots/*", False),
        ("state/managed_state.json", "state/*.json", True),
        ("state/managed_state.json", "*.json", False),
        ("logs", "logs/", True),
        ("logs/deep/worker.log", "logs/", True),
        ("logs_of_others", "logs/", False),
        (".env", ".env", True),
        ("x.env", ".env", False),
    ],
)
def test_a_pattern_names_paths_folder_by_folder(path: str, pattern: str, expected: bool) -> None:
    assert matches_any(path, (pattern,)) is expected
