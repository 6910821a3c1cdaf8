"""Scenarios: the bot trades on its exchange, which fails it in every way."""
