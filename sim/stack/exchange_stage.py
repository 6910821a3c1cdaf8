"""What all stories of a process that trade on the exchange double share: its server, and a warm process for their bots.

Made when a story first asks for it: nobody else pays for it.
"""

from collections.abc import Callable

from sim.stack.zygote import Zygote


class ExchangeStage:
    """One server, behind which each story puts its own world, and one zygote that knows what a bot's streams need."""

    def __init__(self) -> None:
        from sim.exchange.skins.shared import SharedServer  # its libraries are slow to import

        self.server = SharedServer()
        self.zygote = Zygote(warm_up={}, preload=("aiohttp", "sim.guard.client_settings:public_context"))

    def close(self) -> None:
        """Effects: both have ended."""
        self.server.close()
        self.zygote.close()


class LazyExchange:
    """An exchange stage that is made when it is first asked for."""

    def __init__(self, make: Callable[[], ExchangeStage] = ExchangeStage) -> None:
        self._make = make
        self._made: ExchangeStage | None = None

    def get(self) -> ExchangeStage:
        """The stage."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def close(self) -> None:
        """Effects: it has ended, where it was ever made."""
        if self._made is not None:
            self._made.close()
