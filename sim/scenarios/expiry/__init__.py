"""Scenarios about commands that come too late."""
