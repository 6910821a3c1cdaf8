"""One isolated stack per scenario: home, database, clock, actors."""
