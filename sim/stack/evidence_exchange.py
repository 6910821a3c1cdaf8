"""What an exchange double and the home of its bot say at one instant, side by side, for the rules to judge."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from sim.exchange.amounts import exact
from sim.exchange.events import Deposited, Event, OrderChanged, WorldWiped
from sim.exchange.order import Fill
from sim.exchange.world import World
from sim.fake_bot import home as paths
from sim.fake_bot.json_file import decimal_text
from sim.fake_bot.orders import Order
from sim.fake_bot.portfolio import Portfolio, parse_portfolio
from sim.fake_bot.reading import (
    INTENDED,
    JournalEvent,
    JournalLine,
    announced,
    orders_in_flight,
    parse_journal,
)

LOOKED: Final = "exchange.looked"
LATE: Final = "late"
"""The address of a request that the bot sent before, and that the stage delivers now."""

_NEW_ORDER: Final = ("POST", "/api/v3/order")


class ExchangeWitness:
    """Watches one account of a world, and the home of the bot that trades on it."""

    def __init__(self, home: Path, account: str) -> None:
        self._home = home
        self._account = account
        self._taken: list[str] = []
        self._changed: list[str] = []
        self._requests = 0
        self._read_bytes = 0
        # The journal's lines about the portfolio, as far as it was read; it only ever grows.
        self.lines: list[JournalLine] = []
        self.in_flight: tuple[str, ...] = ()

    def hear(self, event: Event) -> None:
        """A subscriber of the world: remembers the orders that it takes, which a reset would forget, and resets."""
        if isinstance(event, WorldWiped | Deposited):
            self._changed.append(type(event).__name__)
        if isinstance(event, OrderChanged) and event.execution == "NEW" and event.account.name == self._account:
            self._taken.append(event.order.client_order_id)

    def look(self, world: World) -> dict[str, Any]:
        """The detail of a look, plain values. Call it where no bot runs, or one that waits, in the world's thread.

        Shape: `holds` and `portfolio` are amounts by asset, the latter None where there is none; `kept` and `in_flight`
        the ids of orders by portfolio and by journal; `loose` the trades of those that the portfolio does not hold;
        `taken`, `sent` and `intended` (id and cycle) what is new since the last look; `changed` what moved balances
        since then by nobody's order: a reset, a deposit.
        """
        new_lines = self._read_on()
        portfolio = self._portfolio()
        orders: Mapping[str, Order] = {}
        if portfolio is not None and portfolio.exchange is not None:
            orders = portfolio.exchange.orders
        taken, self._taken = self._taken, []
        changed, self._changed = self._changed, []
        with exact():
            return {
                "holds": self._holds(world),
                "portfolio": None if portfolio is None else _texts(portfolio.holdings()),
                "kept": sorted(orders),
                "in_flight": sorted(self.in_flight),
                "loose": [found for order in orders.values() for found in self._loose(world, order)],
                "taken": taken,
                "changed": changed,
                "sent": self._sent(world),
                "intended": [[line.order, line.cycle] for line in new_lines if line.reason == INTENDED],
            }

    def _read_on(self) -> tuple[JournalLine, ...]:
        """The lines about the portfolio that the journal has grown by since the last look."""
        try:
            with (self._home / paths.JOURNAL).open("rb") as file:
                file.seek(self._read_bytes)
                journal = parse_journal(file.read())
        except FileNotFoundError:
            return ()
        self._read_bytes += journal.whole_bytes
        new_lines = journal.of(JournalEvent.PORTFOLIO_WRITE)
        self.lines += new_lines
        self.in_flight = orders_in_flight(new_lines, before=self.in_flight)
        return new_lines

    def _portfolio(self) -> Portfolio | None:
        content = announced(self._home, JournalEvent.PORTFOLIO_WRITE, self.lines)
        return None if content is None else parse_portfolio(content, name=str(paths.PORTFOLIO))

    def _holds(self, world: World) -> dict[str, str]:
        balances = world.account(self._account).balances
        return _texts({asset: balance.free + balance.locked for asset, balance in balances.items()})

    def _loose(self, world: World, order: Order) -> list[dict[str, Any]]:
        found = world.account(self._account).by_client_id.get((order.symbol, order.client_order_id))
        fills = [] if found is None else found.fills
        return [
            {"order": order.client_order_id, "trade": fill.trade_id, "moves": _texts(_moves(world, fill))}
            for fill in fills
            if fill.trade_id not in order.trades
        ]

    def _sent(self, world: World) -> list[str]:
        entries = world.requests.since(self._requests)
        self._requests = world.requests.total
        new = [
            entry
            for entry in entries
            if (entry.method, entry.path) == _NEW_ORDER and entry.account == self._account and entry.address != LATE
        ]
        return [parse_qs(entry.parameters).get("newClientOrderId", ["none"])[0] for entry in new]


def _moves(world: World, fill: Fill) -> dict[str, Decimal]:
    """What a trade moved, by asset."""
    rules = world.rules.symbols[fill.symbol]
    sign = 1 if fill.is_buy else -1
    moves = {rules.base: sign * fill.quantity, rules.quote: -sign * fill.quote_quantity}
    moves[fill.commission_asset] = moves.get(fill.commission_asset, Decimal(0)) - fill.commission
    return moves


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {asset: decimal_text(amount) for asset, amount in sorted(amounts.items()) if amount}
