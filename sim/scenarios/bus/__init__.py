"""Scenarios about commands on their way from click to result."""
