"""Scenarios about databases and disks that fail."""
