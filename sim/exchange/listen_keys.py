"""Listen keys: the old way to a stream of user data. A key ends an hour after it was last kept alive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.exchange.clock import SECOND
from sim.exchange.events import Events, ListenKeyEnded
from sim.exchange.refusals import ApiError
from sim.exchange.tables import table


@dataclass(slots=True)
class _ListenKey:
    account: str
    valid_until_us: int


class ListenKeys:
    """All listen keys of a world; an account has one at a time."""

    def __init__(self, new_key: Callable[[], str], events: Events) -> None:
        self._new_key = new_key
        self._events = events
        self._keys: dict[str, _ListenKey] = {}
        self._valid_us: Final[int] = table("world.toml")["listen_key"]["valid_s"] * SECOND

    def create(self, account: str, now_us: int) -> str:
        """The account's listen key, made if there is none; it is valid for an hour from now."""
        for text, key in self._keys.items():
            if key.account == account:
                key.valid_until_us = now_us + self._valid_us
                return text
        text = self._new_key()
        self._keys[text] = _ListenKey(account, now_us + self._valid_us)
        return text

    def keep(self, text: str, account: str, now_us: int) -> None:
        """Raises ApiError `no_listen_key` for one that is not the account's."""
        self._find(text, account).valid_until_us = now_us + self._valid_us

    def close(self, text: str, account: str, now_us: int) -> None:
        """Raises ApiError `no_listen_key` for one that is not the account's."""
        self._find(text, account)
        self._end(text, now_us, expired=False)

    def account_of(self, text: str) -> str | None:
        """Whose user data the key opens; None for an unknown one."""
        found = self._keys.get(text)
        return None if found is None else found.account

    def expire(self, now_us: int) -> None:
        if not self._keys:
            return
        for text in [text for text, key in self._keys.items() if key.valid_until_us <= now_us]:
            self._end(text, now_us, expired=True)

    def _find(self, text: str, account: str) -> _ListenKey:
        found = self._keys.get(text)
        if found is None or found.account != account:
            raise ApiError("no_listen_key")
        return found

    def _end(self, text: str, now_us: int, *, expired: bool) -> None:
        key = self._keys.pop(text)
        if self._events.subscribers:
            self._events.emit(ListenKeyEnded(listen_key=text, account=key.account, expired=expired, time_us=now_us))
