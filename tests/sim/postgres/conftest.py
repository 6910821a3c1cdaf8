"""One embedded server per test process, with a small schema that holds everything a reset can stumble over."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sim.postgres.address import DatabaseAddress
from sim.postgres.leases import Lease, LeasePool, drop_database
from sim.postgres.marker import init_database
from sim.postgres.run_folder import clean_stale_runs
from sim.postgres.server import Kind, RunFolder, RunningServer, TemplateSource, open_run, start_server
from sim.postgres.template import copy_database

SCHEMA = """
CREATE TABLE traders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
                      first_order bigint, shout text GENERATED ALWAYS AS (upper(name)) STORED,
                      created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders  (id bigserial PRIMARY KEY, trader bigint NOT NULL REFERENCES traders (id) ON DELETE CASCADE,
                      quantity numeric NOT NULL CHECK (quantity > 0), created_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE traders ADD FOREIGN KEY (first_order) REFERENCES orders (id);
CREATE TABLE ticks   (at date NOT NULL, price numeric NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE ticks_2026 PARTITION OF ticks FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SCHEMA "Other Desk";
CREATE TABLE "Other Desk"."Open ""Note" (note text PRIMARY KEY);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'this row is final'; END $$;
CREATE TRIGGER final BEFORE UPDATE OR DELETE ON "Other Desk"."Open ""Note" FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO traders (name) VALUES ('day'), ('night');
INSERT INTO orders (trader, quantity) VALUES (1, 0.5);
UPDATE traders SET first_order = 1 WHERE id = 1;
INSERT INTO "Other Desk"."Open ""Note" VALUES ('kept');
"""


def build(address: DatabaseAddress) -> None:
    with psycopg.connect(address.conninfo()) as connection:
        connection.execute(SCHEMA.encode())


SOURCE = TemplateSource(key=hashlib.sha256(SCHEMA.encode()).hexdigest(), build=build)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The container tests need an image and Docker: only a run with `--postgres=container` has them."""
    chosen = config.getoption("postgres", default=Kind.EMBEDDED)
    return True if collection_path.name == "test_container.py" and chosen != Kind.CONTAINER else None


@pytest.fixture(scope="session")
def run() -> Iterator[RunFolder]:
    opened = open_run()
    yield opened
    opened.close()


@pytest.fixture
def root() -> Iterator[Path]:
    """A place for run folders, short enough for sockets, which the account of a server may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="sim-root-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
        clean_stale_runs(Path(folder))


@pytest.fixture(scope="session")
def source() -> TemplateSource:
    return SOURCE


@pytest.fixture(scope="session")
def server(run: RunFolder) -> Iterator[RunningServer]:
    started = start_server(Kind.EMBEDDED, run, SOURCE)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def pool(server: RunningServer) -> Iterator[LeasePool]:
    made = LeasePool(server)
    yield made
    made.close()


@pytest.fixture
def lease(pool: LeasePool) -> Iterator[Lease]:
    with pool.acquire() as acquired:
        yield acquired


@pytest.fixture
def foreign_server(server: RunningServer) -> Iterator[DatabaseAddress]:
    """The maintenance database of a server that, as every foreign one, has a template0; ours are trimmed of it."""
    init_database(server.maintenance, test=True)
    with server.connect() as admin:
        copy_database(admin, template=server.blank, name="template0")
        with psycopg.connect(server.maintenance.on_database("template0").conninfo(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA simclock CASCADE")
        yield server.maintenance
        drop_database(admin, "template0")
