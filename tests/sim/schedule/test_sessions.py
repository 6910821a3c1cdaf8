"""A session that is kept open and given to the next actor has nothing of the one before it."""

import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from sim.postgres.address import DatabaseAddress
from sim.schedule.sessions import Sessions

SAY = text("DO $$ BEGIN RAISE NOTICE 'seen'; END $$")


@pytest.fixture
def sessions(address: DatabaseAddress) -> Iterator[Sessions]:
    with Sessions(address, signals=True) as made:
        yield made


def test_engine_that_uses_a_kept_session_again_is_told_a_notice_once(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    url, backends = URL.create("postgresql+psycopg"), set()
    engine = create_engine(url, creator=lambda: sessions.connect(sessions.address.conninfo()), poolclass=NullPool)
    with caplog.at_level(logging.INFO, logger="sqlalchemy.dialects.postgresql"):
        for _ in range(3):
            with engine.begin() as connection:
                backends.add(connection.scalar(text("SELECT pg_backend_pid()")))
        with engine.begin() as connection:
            connection.execute(SAY)

    assert len(backends) == 1
    assert [record.getMessage() for record in caplog.records] == ["NOTICE: seen"]
