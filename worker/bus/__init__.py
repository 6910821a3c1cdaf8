"""Claim, execute, recover, loop: how a worker takes commands off the bus."""
