"""A real Postgres for every run and a clean database for every scenario."""
