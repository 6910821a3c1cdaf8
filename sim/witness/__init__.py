"""Sensors: what happened to files, processes and sockets, and who did it."""
