"""Texts of others, and of a defect, without the bot's secrets: what a server says may hold what it was sent."""

from collections.abc import Iterable, Mapping
from typing import Final

from worker.guards.secrets import SCRUBBED, scrub_text

SECRET_VARIABLES: Final = ("EXCHANGE_API_SECRET", "EXCHANGE_API_KEY", "GUI_DB_PASSWORD")
MIN_SECRET_CHARS: Final = 8
"""A shorter one may be a word of every second line, and is only known by its form."""


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """`text` without `secrets`, letter by letter, and without all that has the form of one."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, SCRUBBED)
    return scrub_text(text)


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that `environment` holds."""
    return tuple(environment[name] for name in SECRET_VARIABLES if environment.get(name))
