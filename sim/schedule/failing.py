"""Blocks whose error is not simply passed on: it is kept, or told by somebody first."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sim.errors import SimError


class Fallen:
    """A block whose error is kept and not passed on; a `Cut` or the harness's own errors are passed on."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception) and not isinstance(error, SimError):
            self.error = error
            return True
        return False


class HandedOn:
    """A block whose error, of any kind, is handed to a call, which may raise another one in its place."""

    def __init__(self, hand_on: Callable[[BaseException], None]) -> None:
        self._hand_on = hand_on

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._hand_on(error)
