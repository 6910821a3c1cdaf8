"""Why the bot stopped: a rule said no (exit 2), or something broke (exit 1)."""

from sim.errors import SimError


class BotRefused(SimError):
    """A rule said no: settings, guard, a damaged or foreign file, an older schema. Exit code 2."""


class BotBroken(SimError):
    """The database or the disk failed, within bounds. Exit code 1; a restart continues."""
