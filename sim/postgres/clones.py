"""A database of one's own, made and dropped for one test: for migrations and whatever changes the schema."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sim.postgres.address import DatabaseAddress
from sim.postgres.leases import copying, drop_database
from sim.postgres.running import RunningServer
from sim.postgres.template import copy_database

_numbers = itertools.count()


@contextmanager
def clone(server: RunningServer, *, migrated: bool = True) -> Iterator[DatabaseAddress]:
    """The address of a new copy of the migrated template, or of the blank one: no tables, but virtual time and marker.

    Effects: the database is dropped at the end; whoever is connected then is disconnected.
    """
    name = server.database_name(f"c{os.getpid()}_{next(_numbers)}")
    with server.connect() as connection:
        with copying(connection):
            template = server.migrated if migrated else server.blank
            copy_database(connection, template=template, name=name, words=(f"run={server.run_id}",))
        try:
            yield server.maintenance.on_database(name)
        finally:
            with copying(connection):
                drop_database(connection, name)
