"""An exchange on loopback for a bot that only asks whether it is there; it can be told to lead the bot elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.exchange.skins.threads import ServedWorld

ALWAYS = 1_000_000


@dataclass(frozen=True, slots=True)
class LoopbackExchange:
    """A double of the testnet in a thread of this process."""

    _served: "ServedWorld"

    @property
    def url(self) -> str:
        """What a bot is told."""
        return self._served.api.url

    def leads_to(self, location: str, status: int) -> None:
        """Effects: from now on every request is answered with that redirect."""
        from sim.exchange.faults import Fault, FaultKind

        fault = Fault(kind=FaultKind.REDIRECT, status=status, location=location, times=ALWAYS)
        self._served.call(lambda world: world.faults.arm(fault))

    def asked(self) -> int:
        """How many requests have come."""
        return self._served.call(lambda world: world.requests.total)

    def refused_hosts(self) -> list[str]:
        """For which foreign hosts it was asked, in order."""
        return self._served.call(lambda world: list(world.refused_hosts))


@contextmanager
def exchange_on_loopback() -> Iterator[LoopbackExchange]:
    """An exchange that answers until the block ends."""
    # The double's server takes a third of a second to import, which stories without an exchange do not wait for.
    from sim.exchange.skins.threads import served
    from sim.exchange.world import World

    with served(World(moving=False)) as running:
        yield LoopbackExchange(running)
