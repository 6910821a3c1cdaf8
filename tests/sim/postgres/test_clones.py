"""A clone is a database of one's own; a blank one holds nothing but virtual time and the marker."""

import psycopg
import pytest

from sim.postgres.clones import clone
from sim.postgres.marker import ENVIRONMENT, PURPOSE, read_marker
from sim.postgres.running import RunningServer


def test_migrated_clone_holds_the_template_and_is_dropped_while_still_used(server: RunningServer) -> None:
    with clone(server) as address:
        connection = psycopg.connect(address.conninfo(), autocommit=True)
        assert connection.execute("SELECT count(*) FROM traders").fetchone() == (2,)
        connection.execute("DROP TABLE ticks")

    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    with server.connect() as maintenance:
        found = maintenance.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (address.name,)).fetchone()
    assert found == (0,)


def test_blank_clone_has_virtual_time_and_marker_and_no_table(server: RunningServer) -> None:
    with clone(server, migrated=False) as address, psycopg.connect(address.conninfo()) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        connection.execute("CREATE TABLE made (at timestamptz DEFAULT now())")
        default = connection.execute(
            "SELECT d.refobjid::regprocedure::text FROM pg_depend d JOIN pg_attrdef a ON d.objid = a.oid "
            "WHERE a.adrelid = 'made'::regclass AND d.refclassid = 'pg_proc'::regclass"
        ).fetchone()

        assert tables == (0,)
        assert default == ("now()",)
        assert read_marker(connection) >= {ENVIRONMENT, PURPOSE, f"run={server.run_id}"}


def test_clones_of_one_test_are_different_databases(server: RunningServer) -> None:
    with clone(server) as one, clone(server) as other:
        assert one.name != other.name
