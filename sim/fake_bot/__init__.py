"""A paper bot in its own process: portfolio, journal, heartbeats, market snapshot."""
