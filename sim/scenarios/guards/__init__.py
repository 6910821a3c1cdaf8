"""Scenarios about commands and workers that must be refused, each beside its accepted twin."""
