"""All attempts of the matrix, those of chosen rows, and the deliberate violation of each layer (matrix M)."""

from collections.abc import Mapping
from typing import Final

from sim.guard.refusal import Layer
from sim.guard_matrix import by_client, by_command, by_library, by_loopback, by_process, by_running_bot
from sim.guard_matrix.attempt import Attempt

ALL: Final[tuple[Attempt, ...]] = tuple(
    sorted(
        (
            *by_process.ATTEMPTS,
            *by_running_bot.ATTEMPTS,
            *by_client.ATTEMPTS,
            *by_loopback.ATTEMPTS,
            *by_library.ATTEMPTS,
            *by_command.ATTEMPTS,
        ),
        key=lambda one: one.row,
    )
)

CONTROLS: Final[Mapping[Layer, str]] = {
    Layer.FLAG: "A bot, flag false",
    Layer.DATABASE_ADDRESS: "L worker, database on mainnet",
    Layer.PAPER: "K bot without --paper",
    Layer.SERVICE: "I service asked for environment mainnet",
    Layer.DATABASE: "I row for mainnet",
    Layer.HANDLER: "I payload, environment mainnet",
    Layer.SCHEMA: "I payload, environment mainnet",
    Layer.BASE_URL: "B production",
    Layer.CLIENT_SETTINGS: "C 307 of a POST",
    Layer.REQUEST_HOST: "B absolute URL of one request",
    Layer.PEER_ADDRESS: "E localhost leads elsewhere",
    Layer.EXCHANGE_DOUBLE: "E mainnet's name leads to the double",
    Layer.PYTHON_SOCKETS: "G urllib",
    Layer.KERNEL: "L ctypes",
    Layer.NAMESPACE: "L ctypes",
}
"""Row and name of an attempt that the layer must stop by itself, in every run."""


def attempts(rows: str = "", named: str = "") -> tuple[Attempt, ...]:
    """The attempts whose row is among the letters `rows` (none: any) and whose name holds `named`, and the controls."""
    controls = set(CONTROLS.values())
    return tuple(
        one
        for one in ALL
        if f"{one.row} {one.name}" in controls or ((not rows or one.row in rows) and named in one.name)
    )
