"""One attempt to reach mainnet: its row of the matrix, the layers on its way, and the deed itself."""

from collections.abc import Callable
from dataclasses import dataclass

from sim.guard.refusal import Layer

IMPOSED = (Layer.PYTHON_SOCKETS, Layer.KERNEL)
"""On the way of any code in a process of the stage."""
OF_A_CLIENT = (Layer.BASE_URL, Layer.CLIENT_SETTINGS, Layer.REQUEST_HOST, *IMPOSED)
OF_THE_BOT = (Layer.FLAG, *OF_A_CLIENT)
OF_THE_WORKER = (Layer.FLAG, *IMPOSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an attempt may use: a server on loopback at `port`, and a bot's `home`."""

    port: int
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`row` is the letter of the matrix; `layers` are those on its way beside the namespace, in order.

    `make` does it in a process of its own: it returns, or raises what stopped it.
    """

    row: str
    name: str
    layers: tuple[Layer, ...]
    make: Callable[[Stage], object]
