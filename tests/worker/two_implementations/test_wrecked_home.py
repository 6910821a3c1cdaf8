"""What any worker owes to an operator whose home is damaged or full of traps, each implementation by itself.

Where the real worker does not do so yet it is marked, strictly: the mark goes when the defect does.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.clock import VirtualClock
from sim.postgres.leases import LeasePool
from tests.worker.two_implementations.worlds import (
    FOREIGN,
    REAL,
    World,
    baseline_payload,
    profile_payload,
    signed,
)

both_implementations = pytest.mark.parametrize("executable", [REAL, FOREIGN], ids=["real", "foreign"])


@pytest.fixture
def world(pool: LeasePool, tmp_path: Path, executable: tuple[str, ...]) -> Iterator[World]:
    with (
        pool.acquire() as lease,
        VirtualClock(lease.address, connection=lease.connection, freeze_process=False) as clock,
    ):
        made = World(lease=lease, clock=clock, home=tmp_path / "home", executable=executable)
        made.furnish()
        yield made


def put_for_ever(world: World) -> None:
    """A baseline and a dry run that never expire, so that recovery alone decides."""
    for name, command_type, subject, further in (
        ("baseline", "apply_baseline_holdings", "baseline", baseline_payload()),
        ("profile", "apply_profile_testnet", profile_payload()["profile_id"], profile_payload()),
    ):
        payload = {**signed(further), "expires_at": None}
        world.put(name, command_type=command_type, subject=subject, payload=payload, expires_at=None)


def run_and_lapse(world: World, times: int) -> None:
    for _ in range(times):
        world.run("--once")
        world.lapse()


@both_implementations
def test_damaged_file_fails_the_command_after_three_attempts_and_frees_the_bus(world: World) -> None:
    put_for_ever(world)
    (world.home / "state" / "managed_state.json").write_text("{")

    run_and_lapse(world, 8)

    assert world.reasons() == {"baseline": ("failed", "io/damaged_file"), "profile": ("succeeded", None)}


@both_implementations
def test_damaged_intent_fails_the_command_after_three_attempts_and_frees_the_bus(world: World) -> None:
    put_for_ever(world)
    (world.home / "state" / ".intent.json").write_text("{")

    run_and_lapse(world, 8)

    assert world.reasons() == {"baseline": ("failed", "io/two_file_conflict"), "profile": ("succeeded", None)}


@both_implementations
def test_change_on_disk_is_never_reported_as_failed(world: World) -> None:
    put_for_ever(world)
    trap = world.home / "state" / "audit_snapshots"
    trap.symlink_to("nowhere")
    run_and_lapse(world, 4)
    trap.unlink()

    run_and_lapse(world, 2)

    assert world.reasons() == {"baseline": ("succeeded", None), "profile": ("succeeded", None)}
    assert len(world.picture()["cache"]) == 2


@both_implementations
def test_change_whose_own_intent_is_damaged_after_a_rename_is_never_reported_as_failed(world: World) -> None:
    # The first file carries the command's id; the second, and what it was to hold, are lost with the intent.
    put_for_ever(world)
    world.run("--once")
    world.connection.execute("DELETE FROM baseline_holdings")
    world.hold("baseline", status="running", attempts=1)
    state = world.home / "state"
    managed = (state / "managed_state.json").read_text()
    (state / "managed_state.json").unlink()
    (state / ".intent.json").write_text("{")
    world.lapse()

    run_and_lapse(world, 8)

    # It waits for that person by itself: the dry run needs no file.
    assert world.reasons() == {"baseline": ("running", None), "profile": ("succeeded", None)}
    assert world.run("--once") == 1

    # A person restores the second file and takes the damaged intent away.
    (state / "managed_state.json").write_text(managed)
    (state / ".intent.json").unlink()
    assert world.run("--max-iterations", "9") == 0
    assert world.reasons() == {"baseline": ("succeeded", None), "profile": ("succeeded", None)}


@both_implementations
def test_version_of_a_nul_character_is_refused_and_no_defect(world: World) -> None:
    world.put("profile", payload=signed(profile_payload() | {"profile_version": "\0"}))

    assert world.run("--once") == 0
    assert world.reasons() == {"profile": ("failed", "validation/missing_or_bad_version")}


@both_implementations
def test_name_of_an_unknown_field_is_not_repeated(world: World) -> None:
    secret = "Zx9" * 21
    world.put("profile", payload=signed(profile_payload() | {secret: 1}))

    assert world.run("--once") == 0
    row = world.connection.execute("SELECT error_message FROM commands").fetchone()
    assert row is not None
    assert secret not in row[0]


@both_implementations
def test_pid_file_that_is_a_link_leads_nowhere(world: World) -> None:
    (world.home / "logs" / "command_worker.pid").symlink_to("../.env")

    assert world.run("--once") == 0
    assert (world.home / ".env").read_text() == "BINANCE_TESTNET=true\n"


@both_implementations
def test_env_file_that_is_a_pipe_refuses_the_start(world: World) -> None:
    (world.home / ".env").unlink()
    os.mkfifo(world.home / ".env")

    assert world.run("--once") == 2
