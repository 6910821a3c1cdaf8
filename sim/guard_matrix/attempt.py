"""One attempt to reach mainnet: its row of the matrix, the layers on its way, and the deed itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.guard.refusal import Layer
from sim.postgres.address import DatabaseAddress

IMPOSED = (Layer.PYTHON_SOCKETS, Layer.KERNEL)
"""On the way of any code in a process of the stage."""
OF_A_CLIENT = (Layer.BASE_URL, Layer.CLIENT_SETTINGS, Layer.REQUEST_HOST, Layer.PEER_ADDRESS, *IMPOSED)
OF_THE_BOT = (Layer.FLAG, *OF_A_CLIENT)
OF_THE_WORKER = (Layer.FLAG, Layer.DATABASE_ADDRESS, *IMPOSED)


class Ended(Exception):
    """The process, or the command, ended otherwise than well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an attempt may use.

    `redirecting`, `double` and `impostors` are ports of servers on loopback, the last by what is wrong with their
    certificates; `authority` is the PEM file of who issued most of them. `database` is the bus's.
    """

    redirecting: int
    double: int
    impostors: Mapping[str, int]
    authority: Path
    home: Path
    database: DatabaseAddress
    begin: Callable[[], None]
    """The home is as the attempt needs it: from here on nothing of it may change."""
    arrived: Callable[[str], None]
    """What was attempted has come about, on this machine: the sentence says what."""

    @property
    def ports(self) -> list[int]:
        """Those that the kernel leaves open."""
        return [self.redirecting, self.double, *self.impostors.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`row` is the letter of the matrix; `layers` are those on its way beside the namespace, in order.

    `make` does it in a process of its own: it returns, or raises what stopped it. `stays` is set for what would come
    about on this machine, where the namespace sees nothing: a command carried out, an impostor that is believed.
    """

    row: str
    name: str
    layers: tuple[Layer, ...]
    make: Callable[[Stage], object]
    stays: bool = False
