"""A server that is already there is used only where it is marked for tests, and is left as it was found."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.dsn import DsnServer, address_from_url
from sim.postgres.leases import LeasePool, drop_database
from sim.postgres.marker import ENVIRONMENT, PURPOSE, init_database, read_marker
from sim.postgres.run_folder import RunFolder, open_run
from sim.postgres.running import Kind, RunningServer
from sim.postgres.server import start_server
from sim.postgres.template import TemplateSource, sqlalchemy_url

DATABASE = "operators_own"


@pytest.fixture
def admin(server: RunningServer) -> Iterator[psycopg.Connection]:
    with server.connect() as connection:
        yield connection


@pytest.fixture
def own_run() -> Iterator[RunFolder]:
    """A run beside that of the server: what it makes and drops is its own."""
    opened = open_run()
    yield opened
    opened.close()


@pytest.fixture
def named(server: RunningServer, admin: psycopg.Connection) -> Iterator[DatabaseAddress]:
    """A database that somebody made by hand, on a server that knows nothing of the harness."""
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(DATABASE), sql.Identifier(server.blank))
    )
    yield server.maintenance.on_database(DATABASE)
    drop_database(admin, DATABASE)


def url_of(address: DatabaseAddress) -> dict[str, str]:
    return {"SIM_DATABASE_URL": sqlalchemy_url(address).replace("postgresql+psycopg", "postgresql")}


def databases_of(connection: psycopg.Connection, run_id: str) -> list[str]:
    rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"sim_{run_id}_%",)).fetchall()
    return sorted(row[0] for row in rows)


@pytest.mark.usefixtures("foreign_server")
def test_marked_database_serves_leases_beside_it_and_nothing_is_left(
    named: DatabaseAddress, admin: psycopg.Connection, own_run: RunFolder, source: TemplateSource
) -> None:
    init_database(named, test=True)

    started = DsnServer(url_of(named)).start(own_run, source)
    pool = LeasePool(started, label="beside")
    with pool.acquire() as lease, psycopg.connect(lease.address.conninfo()) as connection:
        found = connection.execute("SELECT count(*) FROM traders").fetchone()
        marker = read_marker(connection)

    assert (started.kind, started.supports_signals) == (Kind.DSN, False)
    assert found == (2,)
    assert marker >= {ENVIRONMENT, PURPOSE, f"run={own_run.run_id}"}
    assert lease.address.name in databases_of(admin, own_run.run_id)
    pool.close()
    started.stop()
    started.stop()
    assert databases_of(admin, own_run.run_id) == []
    with psycopg.connect(named.conninfo()) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize(
    "comment", [None, "environment=testnet", "purpose=production", "environment=mainnet purpose=test", "purpose=tests"]
)
def test_database_without_the_test_marker_is_refused_and_says_how_to_mark_it(
    named: DatabaseAddress,
    admin: psycopg.Connection,
    own_run: RunFolder,
    source: TemplateSource,
    comment: str | None,
) -> None:
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(DATABASE), sql.Literal(comment)))

    with pytest.raises(SimError) as refused:
        DsnServer(url_of(named)).start(own_run, source)

    assert refused.value.code == "postgres/not_test_database"
    assert "sim db init --test" in refused.value.message
    assert databases_of(admin, own_run.run_id) == []


def test_ordinary_role_is_refused(
    named: DatabaseAddress, admin: psycopg.Connection, own_run: RunFolder, source: TemplateSource
) -> None:
    init_database(named, test=True)
    admin.execute("CREATE ROLE clerk LOGIN CREATEDB")
    clerk = DatabaseAddress(host=named.host, port=named.port, name=named.name, user="clerk", password="guess")

    with pytest.raises(SimError) as refused:
        DsnServer(url_of(clerk)).start(own_run, source)

    assert refused.value.code == "postgres/not_superuser"
    admin.execute("DROP ROLE clerk")


def test_unreachable_server_is_refused_without_its_password(own_run: RunFolder, source: TemplateSource) -> None:
    environment = {"SIM_DATABASE_URL": "postgresql://sim:hush-hush@127.0.0.1:1/stack"}

    with pytest.raises(SimError) as refused:
        DsnServer(environment).start(own_run, source)

    assert refused.value.code == "postgres/unreachable"
    assert "hush-hush" not in str(refused.value)


def test_missing_url_is_refused(own_run: RunFolder, source: TemplateSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIM_DATABASE_URL", raising=False)

    with pytest.raises(SimError) as refused:
        start_server(Kind.DSN, own_run, source)

    assert refused.value.code == "postgres/no_url"


@pytest.mark.parametrize("url", ["hush-hush", "postgresql://sim:hush-hush@/stack", "mysql://sim:hush-hush@h/stack"])
def test_malformed_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SimError) as refused:
        address_from_url(url)

    assert refused.value.code == "postgres/malformed_url"
    assert "hush-hush" not in str(refused.value)


def test_url_names_an_address() -> None:
    address = address_from_url("postgresql://sim:hush-hush@db.example/stack")

    assert address == DatabaseAddress(host="db.example", port=5432, name="stack", user="sim", password="hush-hush")


@pytest.mark.usefixtures("foreign_server")
def test_databases_of_a_killed_run_are_dropped_and_all_others_left_alone(
    named: DatabaseAddress, admin: psycopg.Connection, own_run: RunFolder, server: RunningServer, source: TemplateSource
) -> None:
    init_database(named, test=True)
    living = open_run()
    alive = DsnServer(url_of(named)).start(living, source)
    bystanders = ["sim_deadbeef_own", "sim_results", "sim_cafe_gw0_0"]
    for name in ["sim_deadbeef_gw0_0", *bystanders]:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(server.blank))
        )
    admin.execute("COMMENT ON DATABASE sim_deadbeef_gw0_0 IS 'environment=testnet purpose=test run=deadbeef'")
    admin.execute("COMMENT ON DATABASE sim_deadbeef_own IS 'the yearly accounts'")

    started = DsnServer(url_of(named)).start(own_run, source)

    rows = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'sim\\_%'").fetchall()
    left = {row[0] for row in rows}
    assert left >= {*bystanders, *databases_of(admin, living.run_id), *databases_of(admin, own_run.run_id)}
    assert len(databases_of(admin, living.run_id)) == 2
    assert "sim_deadbeef_gw0_0" not in left
    for stopped in (started, alive):
        stopped.stop()
    for name in bystanders:
        drop_database(admin, name)
    living.close()


def test_marking_keeps_every_word_that_is_there(named: DatabaseAddress, admin: psycopg.Connection) -> None:
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS 'owner=desk'").format(sql.Identifier(DATABASE)))

    assert init_database(named, test=False) == "environment=testnet owner=desk"
    assert init_database(named, test=True) == "environment=testnet purpose=test owner=desk"
    assert init_database(named, test=True) == "environment=testnet purpose=test owner=desk"


def test_database_of_another_environment_is_not_marked(named: DatabaseAddress, admin: psycopg.Connection) -> None:
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS 'environment=mainnet'").format(sql.Identifier(DATABASE)))

    with pytest.raises(SimError) as refused:
        init_database(named, test=True)

    assert refused.value.code == "postgres/other_environment"
    with psycopg.connect(named.conninfo()) as connection:
        assert read_marker(connection) == {"environment=mainnet"}
