"""Scenarios: stories an incident review would ask about."""
