"""Bytes that come back over HTTP, and whether the API could have said them."""

import json
import socket
from dataclasses import dataclass
from typing import Final

# Far beyond what any answer takes, also on a machine that is busy with other things.
WAIT_S: Final = 30.0
_INTERIM: Final = frozenset({100, 101})
_PAGES: Final = frozenset({400, 404, 405})
_PLAIN: Final = frozenset({400, 421})


class WrongAnswerError(AssertionError):
    """The double did what the exchange never does."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One HTTP response; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchanged(port: int, raw: bytes, *, idle_s: float | None = None) -> list[HttpAnswer]:
    """The responses to these bytes, which ask for the connection to be closed.

    With `idle_s` they may ask for anything: when nothing has come for so long, the client ends its side. Raises
    WrongAnswerError where the server does not close the connection then, or what comes is no HTTP.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        try:
            connection.sendall(raw)
            if idle_s is not None:
                received = _until_idle(connection, idle_s)
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65_536):
                received += chunk
        except TimeoutError as error:
            raise WrongAnswerError(f"still open after {WAIT_S} s; so far {received!r}") from error
        except OSError:
            # A server that has answered need not read the rest of a request, and then breaks the connection.
            pass
    return parsed(received, without_body=raw.startswith(b"HEAD "))


def _until_idle(connection: socket.socket, idle_s: float) -> bytes:
    received = b""
    connection.settimeout(idle_s)
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except TimeoutError:
        pass
    connection.settimeout(WAIT_S)
    return received


def parsed(received: bytes, *, without_body: bool = False) -> list[HttpAnswer]:
    """All responses in these bytes. Raises WrongAnswerError for what is none, or is cut off."""
    found = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ", 2)
        if not separator or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
            raise WrongAnswerError(f"expected an HTTP response, found {received[:200]!r}")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = 0 if without_body else int(headers.get("content-length", "0"))
        if len(rest) < length:
            raise WrongAnswerError(f"the body ends after {len(rest)} of {length} bytes")
        found.append(HttpAnswer(int(parts[1]), headers, rest[:length]))
        # What follows an upgrade is no HTTP any more.
        received = b"" if parts[1] == "101" else rest[length:]
    return found


def check(answer: HttpAnswer) -> None:
    """Raises WrongAnswerError for what the exchange, or the web server in front of it, never says."""
    kind = answer.headers.get("content-type", "")
    if answer.status >= 500:
        raise WrongAnswerError(f"a {answer.status} of its own making: {answer.body!r}")
    if answer.status in _INTERIM or not answer.body:
        if answer.status not in _INTERIM and answer.headers.get("content-length", "0") == "0":
            raise WrongAnswerError(f"expected a body, found {answer.status} without one")
        return
    if kind.startswith("text/html") and answer.status in _PAGES:
        return
    if kind.startswith("text/plain") and answer.status in _PLAIN:
        return
    if not kind.startswith("application/json"):
        raise WrongAnswerError(f"expected JSON, found {answer.status} {kind} {answer.body[:200]!r}")
    try:
        payload = json.loads(answer.body)
    except ValueError as error:
        raise WrongAnswerError(f"expected JSON, found {answer.body[:200]!r}") from error
    check_payload(answer.status, payload)


def check_payload(status: int, payload: object) -> None:
    """A result, or the API's own form of an error. Raises WrongAnswerError."""
    if status == 200:
        return
    is_refusal = (
        400 <= status < 500
        and isinstance(payload, dict)
        and isinstance(payload.get("code"), int)
        and payload["code"] < 0
        and isinstance(payload.get("msg"), str)
        and not payload.keys() - {"code", "msg", "data"}
    )
    if not is_refusal:
        raise WrongAnswerError(f"expected code and msg, found {status} {payload!r}")
