"""The stage around the real worker: Postgres, bot, operator, witness, rules and scenarios."""
