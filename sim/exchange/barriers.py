"""Barriers: places where requests wait until somebody opens the way. An open barrier holds nobody."""

from collections.abc import Callable

Release = Callable[[], object]


class Barriers:
    """All barriers of a world, by name; one that was never opened is shut."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Release]] = {}
        self._open: set[str] = set()

    def wait(self, name: str, release: Release) -> None:
        """Calls `release` when the barrier is opened; at once where it is."""
        if name in self._open:
            release()
        else:
            self._waiting.setdefault(name, []).append(release)

    def open(self, name: str) -> int:
        """Lets all who wait go on, and all who come later; how many there were."""
        self._open.add(name)
        released = self._waiting.pop(name, [])
        for release in released:
            release()
        return len(released)

    def shut(self, name: str) -> None:
        self._open.discard(name)

    def is_shut(self, name: str) -> bool:
        return name not in self._open

    def waiting(self) -> dict[str, int]:
        """How many wait at each barrier where somebody does."""
        return {name: len(releases) for name, releases in self._waiting.items() if releases}
