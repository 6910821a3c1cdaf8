"""Engines that an actor opens by itself: their connections are the director's, whoever made the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Dialect, event

from sim.schedule.greenlets import current


@contextmanager
def engines_of_actors(connect: "Callable[..., psycopg.Connection[Any]]") -> Iterator[None]:
    """Within the block every engine that an actor uses connects by `connect`; those of everybody else as they would."""

    def opened(_dialect: Dialect, _record: object, arguments: Any, named: Any) -> Any:
        return None if current() is None else connect(*arguments, **named)

    event.listen(Dialect, "do_connect", opened)
    try:
        yield
    finally:
        event.remove(Dialect, "do_connect", opened)
