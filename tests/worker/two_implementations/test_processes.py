"""Both workers share the home lock, drop a lost lease's result, wake up, stop, and work side by side."""

import fcntl
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.worker.two_implementations.playing import both
from tests.worker.two_implementations.worlds import EXPIRES, FOREIGN, World

IDLE = """
EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state = 'idle' AND state_change < pg_catalog.clock_timestamp() - interval '300 ms')
"""
"""The worker has looked once more, found nothing, and sleeps."""


@contextmanager
def home_locked(world: World) -> Iterator[None]:
    with open(world.home / "state" / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def wait_until(world: World, condition: str, *, within_s: int = 30) -> None:
    """Returns when the SQL condition holds; Postgres itself waits, so nothing is asked more often than needed."""
    statement = f"""
    DO $$ BEGIN
        FOR attempt IN 1..{within_s * 50} LOOP
            PERFORM pg_stat_clear_snapshot();
            IF {condition} THEN RETURN; END IF;
            PERFORM pg_sleep(0.02);
        END LOOP;
        RAISE 'it never came to that';
    END $$
    """
    world.connection.execute(statement.encode())


def run_while_locked(world: World) -> int:
    with home_locked(world):
        return world.run("--once")


def test_home_kept_by_another_process_leaves_the_command(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.put_baseline()

    assert both(worlds, run_while_locked) == (1, 1)
    assert worlds[0].picture() == worlds[1].picture()
    assert worlds[0].commands()["baseline"]["status"] == "running"


def lose_the_lease(world: World) -> int:
    """The worker has begun and waits for the lock; meanwhile its command becomes another worker's."""
    with home_locked(world):
        started = world.start("--once")
        wait_until(world, "EXISTS (SELECT FROM commands WHERE status = 'running')")
        world.connection.execute("UPDATE commands SET attempts = 2, worker_id = 'another'")
    started.communicate(timeout=60)
    return started.returncode


def test_worker_that_lost_its_lease_writes_nothing(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.put_baseline()

    assert both(worlds, lose_the_lease) == (0, 0)
    assert worlds[0].picture() == worlds[1].picture()
    assert "state/baseline_holdings.json" not in worlds[0].files()
    assert worlds[0].commands()["baseline"]["worker_id"] == "another"


def expire_while_it_waits(world: World) -> int:
    """The worker has begun and waits for the lock; meanwhile the expiry instant comes."""
    with home_locked(world):
        started = world.start("--once")
        wait_until(world, "EXISTS (SELECT FROM commands WHERE status = 'running')")
        world.clock.freeze_at(EXPIRES)
    started.communicate(timeout=60)
    return started.returncode


def test_command_that_expires_after_its_claim_meets_the_handlers_own_check(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.put_baseline()

    assert both(worlds, expire_while_it_waits) == (0, 0)
    assert worlds[0].picture() == worlds[1].picture()
    assert worlds[0].reasons() == {"baseline": ("failed", "expiry/command_expired")}


def loop_and_terminate(world: World) -> int:
    world.put("there at the start")
    started = world.start()
    wait_until(world, "EXISTS (SELECT FROM commands WHERE status = 'succeeded')")
    wait_until(world, IDLE)
    world.put("woken")
    world.connection.execute("SELECT pg_notify('command_bus', 'x')")
    # The poll comes every five seconds, so this bound tells a notification from it.
    wait_until(world, "NOT EXISTS (SELECT FROM commands WHERE status <> 'succeeded')", within_s=4)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=60)
    return started.returncode


def test_loop_is_woken_and_ends_on_sigterm(worlds: tuple[World, World]) -> None:
    assert both(worlds, loop_and_terminate) == (0, 0)
    assert worlds[0].picture() == worlds[1].picture()


def terminate_in_mid_command(world: World) -> int:
    world.put_baseline("second")
    with home_locked(world):
        started = world.start()
        wait_until(world, "EXISTS (SELECT FROM commands WHERE status = 'running')")
        started.send_signal(signal.SIGTERM)
    started.communicate(timeout=60)
    return started.returncode


def test_sigterm_finishes_the_command_in_hand_and_no_other(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.put_baseline("first")

    assert both(worlds, terminate_in_mid_command) == (0, 0)
    assert worlds[0].picture() == worlds[1].picture()
    assert worlds[0].reasons() == {"first": ("succeeded", None), "second": ("pending", None)}


def test_both_kinds_at_once_run_every_command_once(worlds: tuple[World, World]) -> None:
    shared = worlds[0]
    for number in range(30):
        shared.put(f"profile {number}")
        shared.put_baseline(f"baseline {number}")
    foreign = World(lease=shared.lease, clock=shared.clock, home=shared.home, executable=FOREIGN)

    codes = both((shared, foreign), lambda world: world.run("--max-iterations", "60", WORKER_ID=world.executable[-1]))

    assert codes == (0, 0)
    found = shared.commands().values()
    assert {(command["status"], command["attempts"], len(command["log"])) for command in found} == {
        ("succeeded", 1, 4),
        ("succeeded", 1, 3),
    }
    assert json.loads((shared.home / "state" / "managed_state.json").read_text())["generation"] == 30
