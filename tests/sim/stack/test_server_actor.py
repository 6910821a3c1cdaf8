"""A story may break its own server, and no other."""

from contextlib import closing

import psycopg
import pytest

from sim.errors import SimError
from sim.stack.stack import Stack


def test_server_that_others_use_is_refused_to_whoever_would_break_it(stack: Stack) -> None:
    for call in (stack.postgres.kill, stack.postgres.shut_down, stack.postgres.start):
        with pytest.raises(SimError, match=r"stage/shared_server: .*@pytest\.mark\.private_server"):
            call()
    assert stack.rows.count("users") == 3


@pytest.mark.private_server
def test_own_server_comes_back_with_what_was_committed_and_nothing_else(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    with closing(psycopg.connect(stack.faults.address.conninfo())) as uncommitted:
        uncommitted.execute("DELETE FROM config_profiles")
        stack.postgres.kill()
        stack.postgres.start()
        with pytest.raises(psycopg.OperationalError):
            uncommitted.commit()
    assert stack.rows.scalar("SELECT profile_id FROM config_profiles") == profile
    assert [event.kind for event in stack.timeline if event.actor == "postgres"] == ["server.kill", "server.start"]


@pytest.mark.private_server
def test_story_that_leaves_its_server_down_is_told_to_start_it(stack: Stack) -> None:
    stack.postgres.shut_down()
    with pytest.raises(SimError, match=r"stage/server_down: .*stack\.postgres\.start\(\)"):
        stack.finish()
    stack.postgres.start()
    stack.postgres.kill()
    stack.postgres.start()
