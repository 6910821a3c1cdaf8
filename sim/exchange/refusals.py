"""`ApiError`: what the API answers instead of a result. Kinds, codes and texts stand in `tables/errors.toml`."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sim.exchange.tables import table


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One line of the table: an HTTP status, the API's code, and a text with `%s` for what is filled in."""

    status: int
    code: int
    text: str


@cache
def error_kind(name: str) -> ErrorKind:
    """Raises KeyError for a name that is not in the table."""
    return ErrorKind(**table("errors.toml")[name])


class ApiError(Exception):
    """An answer of the API that is no result.

    `kind` is the name in the table, `payload` what is sent as JSON, `retry_after_s` the seconds of a Retry-After
    header.
    """

    def __init__(
        self, kind: str, *filled: object, extra: dict[str, Any] | None = None, retry_after_s: int | None = None
    ) -> None:
        known = error_kind(kind)
        message = known.text % filled if filled else known.text
        super().__init__(f"{known.code}: {message}")
        self.kind = kind
        self.status = known.status
        self.code = known.code
        self.message = message
        self.retry_after_s = retry_after_s
        self.payload: dict[str, Any] = {"code": known.code, "msg": message, **(extra or {})}


def rejected(name: str) -> ApiError:
    """A refusal of the matching engine to take an order; `name` is one of `tables/engine_messages.toml`."""
    return ApiError("rejected", table("engine_messages.toml")[name])


def cancel_rejected(name: str) -> ApiError:
    """A refusal of the matching engine to cancel."""
    return ApiError("cancel_rejected", table("engine_messages.toml")[name])


def filter_failure(name: str) -> ApiError:
    return ApiError("filter_failure", name)
