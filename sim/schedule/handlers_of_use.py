"""What a user of a connection asks to be told lasts as long as its use.

A session that is kept open and given to the next user is a new connection to an engine, which registers its handler of
notices again: without this, each notice is told once for every use so far, and none of the handlers is ever freed.
"""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.errors import Diagnostic

NoticeHandler = Callable[[Diagnostic], None]
NotifyHandler = Callable[[psycopg.Notify], None]


class HandlersOfUse(psycopg.Connection[Any]):
    """A psycopg connection that can forget the handlers that were registered with it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As psycopg's."""
        super().__init__(*arguments, **named)
        self._of_notices: list[NoticeHandler] = []
        self._of_notifications: list[NotifyHandler] = []

    def add_notice_handler(self, callback: NoticeHandler) -> None:
        """As psycopg's."""
        super().add_notice_handler(callback)
        self._of_notices.append(callback)

    def remove_notice_handler(self, callback: NoticeHandler) -> None:
        """As psycopg's."""
        super().remove_notice_handler(callback)
        self._of_notices.remove(callback)

    def add_notify_handler(self, callback: NotifyHandler) -> None:
        """As psycopg's."""
        super().add_notify_handler(callback)
        self._of_notifications.append(callback)

    def remove_notify_handler(self, callback: NotifyHandler) -> None:
        """As psycopg's."""
        super().remove_notify_handler(callback)
        self._of_notifications.remove(callback)

    def forget_handlers(self) -> None:
        """Effects: nobody who used this connection is told anything more of it."""
        while self._of_notices:
            self.remove_notice_handler(self._of_notices[-1])
        while self._of_notifications:
            self.remove_notify_handler(self._of_notifications[-1])
