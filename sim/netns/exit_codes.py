"""How `sim netns` ends, where it does not end as its command did."""

import os

ATTEMPTED = 90
"""Something tried to leave loopback, whatever the command itself ended with; the table tells both."""
UNAVAILABLE = 125
"""No namespace was to be had and the command was not run; `env` and `docker run` end so for themselves."""
BROKEN = 70
"""The trip-wire failed its control, or ended before the command; everything was ended with it. `EX_SOFTWARE`."""
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""As every shell has them."""

_KILLED = 128


def of_status(status: int) -> int:
    """The exit code of a process from its wait status: 128 and the signal's number where one ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _KILLED - code
