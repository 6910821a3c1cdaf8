"""What the warm-up of the warm process leaves behind."""

from contextlib import closing
from pathlib import Path

from sim.postgres.leases import LeasePool
from sim.stack.warm_up import warm_zygote


def test_commands_were_run_and_no_home_is_left(lease_pool: LeasePool, tmp_path: Path) -> None:
    with lease_pool.acquire() as lease, closing(warm_zygote(lease.address, tmp_path)):
        ended = lease.connection.execute("SELECT DISTINCT status FROM commands").fetchall()

        assert ended == [("succeeded",)]
        assert [path.name for path in tmp_path.iterdir()] == ["clock.json"]
