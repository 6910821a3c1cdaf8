"""Errors the harness raises; tests match `code`, people read the message."""


class SimError(Exception):
    """A clear refusal or failure of the harness itself.

    `code` is stable and machine-readable (`area/reason`); the message says what was expected, what was found
    and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
