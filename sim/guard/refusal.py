"""What a layer of the guard says when it stops something, and the record that it keeps of that.

Source: contract §9 (every attempt is recorded).
"""

import json
import os
import re
import time
from enum import StrEnum
from pathlib import Path
from typing import Final

from sim.errors import SimError

_RECORD: list[Path] = []
MAX_SHOWN: Final = 120
"""Characters of an attempt that are kept: enough for a host, too few for a payload."""

_PARAMETERS: Final = re.compile("[?#;&]|%(?:3f|23|3b|26)", re.IGNORECASE)
_KEY: Final = re.compile("[A-Za-z0-9_-]{32,}")
"""No label of a host that we know is half as long; listen keys have 60 characters, all other keys 64."""


class Layer(StrEnum):
    """The layers between a client, or a command, and mainnet, in the order in which an attempt meets them."""

    FLAG = "flag"
    DATABASE_ADDRESS = "database_address"
    PAPER = "paper"
    SERVICE = "service"
    DATABASE = "database"
    HANDLER = "handler"
    SCHEMA = "schema"
    BASE_URL = "base_url"
    CLIENT_SETTINGS = "client_settings"
    REQUEST_HOST = "request_host"
    PEER_ADDRESS = "peer_address"
    EXCHANGE_DOUBLE = "exchange_double"
    PYTHON_SOCKETS = "python_sockets"
    KERNEL = "kernel"
    NAMESPACE = "namespace"


class GuardRefused(SimError):
    """A layer stopped an attempt; `layer` names it. It has been recorded by then."""

    def __init__(self, layer: Layer, message: str) -> None:
        super().__init__(f"guard/{layer}", message)
        self.layer = layer


def keep_record_in(path: Path) -> None:
    """Effects: refusals of this process are appended to `path`, a line of JSON each, from here on."""
    _RECORD[:] = [path]


def refusal(layer: Layer, message: str) -> GuardRefused:
    """The error to raise. Effects: the refusal is on record, where one is kept, before anybody can swallow it."""
    for path in _RECORD:
        line = {"at_ns": time.time_ns(), "pid": os.getpid(), "layer": layer, "message": message}
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)
    return GuardRefused(layer, message)


def shown(value: object) -> str:
    """`value` as far as it may stand in a message: a host, never what stands before an `@` or where parameters begin.

    A word as long as a key is one, wherever it stands: somebody took one line of his settings for another.
    """
    text = _PARAMETERS.split(str(value), maxsplit=1)[0].rpartition("@")[2]
    return ascii(_KEY.sub("[scrubbed]", text)[:MAX_SHOWN])
