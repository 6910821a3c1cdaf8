"""What a migration's connection is like, and what its refusals repeat."""

import pytest

from sim.postgres.leases import LeasePool
from worker.contracts.errors import Reason, Refusal
from worker.db import migrate
from worker.db.session import url_of

SECRET = "Corr3ctHorseBatteryStaple99-" * 4


def _url(pool_address: object) -> str:
    return url_of(pool_address).render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_migrations_connection_is_in_utc_whatever_the_database_says(lease_pool: LeasePool) -> None:
    with lease_pool.acquire() as lease:
        lease.connection.execute(f"ALTER DATABASE \"{lease.address.name}\" SET TimeZone = 'Asia/Tokyo'".encode())
        with migrate._connected(_url(lease.address)) as connection:
            zone = connection.exec_driver_sql("SHOW TimeZone").scalar_one()
        lease.connection.execute(f"ALTER DATABASE \"{lease.address.name}\" SET TimeZone = 'UTC'".encode())

    assert zone == "UTC"


@pytest.mark.parametrize(
    ("flag", "shown"), [("True", "found 'True'"), (SECRET, f"found {len(SECRET)} characters"), (None, "it is not set")]
)
def test_refusal_repeats_a_flag_only_when_it_is_short(flag: str | None, shown: str) -> None:
    with pytest.raises(Refusal) as refused:
        migrate.upgrade("postgresql://nowhere/x", environ={} if flag is None else {"BINANCE_TESTNET": flag})

    assert refused.value.reason is Reason.TESTNET_FLAG_NOT_TRUE
    assert shown in str(refused.value)
    assert SECRET not in str(refused.value)
