"""An expiry that no calendar has.

Asked in review: a producer wrote `infinity` for "never"; did every worker end on that row, and the bus stand still?
Must hold: the database refuses an instant that a worker could not read; the last one that it takes can be run.
"""

from datetime import timedelta

import psycopg
import pytest

from sim.story import REFERENCE_PROFILE, Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.states import CommandStatus

BEYOND = ["infinity", "-infinity", "10000-01-01 00:00:00+00", "9999-12-31 00:00:00+00", "0001-12-31 00:00:00+00 BC"]


@pytest.mark.parametrize("expires_at", BEYOND)
def test_expiry_beyond_every_calendar_is_refused_and_the_bus_goes_on(stack: Stack, expires_at: str) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with pytest.raises(psycopg.errors.CheckViolation):
        stack.bus.change_row(command.command_id, expires_at=expires_at)

    ended = stack.worker.run_once()
    assert (ended.exit_code, stack.command(command).status) == (0, CommandStatus.SUCCEEDED)


def test_expiry_in_the_last_year_of_the_calendar_runs(stack: Stack) -> None:
    stack.given.reference_profile()
    to_the_last_day = stack.rows.scalar("SELECT '9999-12-30 23:59:59+00' - simclock.now()")
    command = stack.bus.put_unchecked(
        CommandType.APPLY_PROFILE_TESTNET,
        str(REFERENCE_PROFILE),
        reference_payload(REFERENCE_PROFILE),
        expires_in=timedelta(seconds=to_the_last_day.total_seconds()),
    )

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
