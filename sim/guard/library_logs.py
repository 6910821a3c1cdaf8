"""What httpx logs of a request: its host and path, for the query holds a signature.

httpx tells each URL at level INFO, to whatever log its process keeps; the bot keeps none, whoever embeds it may.
"""

import logging
from typing import Final

import httpx

from sim.guard.refusal import shown


class WithoutQueries(logging.Filter):
    """Lets every record pass, its URLs as far as they may stand in a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True. Effects: the URLs among the record's arguments are cut."""
        if isinstance(record.args, tuple):
            record.args = tuple(shown(each) if isinstance(each, httpx.URL) else each for each in record.args)
        return True


_FILTER: Final = WithoutQueries()


def put_in_force() -> None:
    """Effects: for the rest of this process; a second call changes nothing."""
    logging.getLogger("httpx").addFilter(_FILTER)
