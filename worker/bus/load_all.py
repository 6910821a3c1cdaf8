"""Imports at once what a run of one command imports only where it comes to need it."""

from worker.handlers.registry import HandlerRegistry


def load_all(handlers: HandlerRegistry) -> None:
    """Effects: each handler is made, and all that a command, a recovery or a sweep may need is imported.

    For a worker that stays: its code may be replaced on disk while it runs, and half of it must not be the new one.
    Raises: what a module that is broken raises, before anything is claimed.
    """
    import worker.bus.recover
    import worker.bus.sweep  # noqa: F401

    tuple(handlers.values())
