"""Accounts, what they hold, and the rule that no trade makes or loses a unit of anything.

The counterpart of every trade with the scripted book is the *outside*, which may owe; commissions go to *fees*. For
each asset: what all accounts hold, free and locked, plus the outside, plus the fees, is what was deposited.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from sim.errors import SimError
from sim.exchange.amounts import ZERO
from sim.exchange.commission import CommissionRates, default_rates
from sim.exchange.order import Fill, Order


@dataclass(slots=True)
class Balance:
    """What an account holds of one asset."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """One trading account: its balances, its orders and its fills, per symbol in the order they came."""

    name: str
    uid: int
    balances: dict[str, Balance]
    rates: CommissionRates = field(default_factory=default_rates)
    pays_in_discount_asset: bool = False
    can_trade: bool = True
    permissions: frozenset[str] = frozenset({"SPOT"})
    update_us: int = 0
    orders: dict[str, dict[int, Order]] = field(default_factory=dict)
    open_orders: dict[str, dict[int, Order]] = field(default_factory=dict)
    by_client_id: dict[tuple[str, str], Order] = field(default_factory=dict)
    fills: dict[str, list[Fill]] = field(default_factory=dict)

    def balance(self, asset: str) -> Balance:
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found

    def add(self, order: Order) -> None:
        symbol, order_id = order.symbol, order.order_id
        if symbol not in self.orders:
            self.orders[symbol], self.open_orders[symbol], self.fills[symbol] = {}, {}, []
        self.orders[symbol][order_id] = self.open_orders[symbol][order_id] = order
        self.by_client_id[symbol, order.client_order_id] = order

    def close(self, order: Order) -> None:
        self.open_orders[order.symbol].pop(order.order_id, None)

    def has_open(self, symbol: str, client_order_id: str) -> bool:
        """Whether an open order of that symbol carries that client id."""
        found = self.by_client_id.get((symbol, client_order_id))
        return found is not None and found.is_open

    def all_open(self) -> Iterator[Order]:
        for orders in self.open_orders.values():
            yield from orders.values()


class Ledger:
    """All accounts, the outside and the fees."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.outside: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        self.fees: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        self.deposited: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)

    def open(self, name: str, *, uid: int, balances: Mapping[str, Decimal]) -> Account:
        """A new account.

        Raises SimError `exchange/account_exists` for a name that is taken, `exchange/overdrawn` for a negative balance.
        """
        if name in self.accounts:
            raise SimError("exchange/account_exists", f"account {name} is already there; give another name")
        for asset, amount in balances.items():
            if amount < 0:
                raise SimError("exchange/overdrawn", f"account {name} cannot begin with {amount} {asset}; give none")
        account = Account(name=name, uid=uid, balances={})
        self.accounts[name] = account
        for asset, amount in balances.items():
            self.deposit(account, asset, amount)
        return account

    def deposit(self, account: Account, asset: str, amount: Decimal) -> None:
        """Adds to the free balance; a negative amount takes away.

        Raises SimError `exchange/overdrawn` where less is free than is taken.
        """
        balance = account.balance(asset)
        if balance.free + amount < 0:
            raise SimError(
                "exchange/overdrawn", f"account {account.name} has {balance.free} {asset} free; cannot add {amount}"
            )
        balance.free += amount
        self.deposited[asset] += amount

    def breaches(self) -> list[str]:
        """One sentence per rule of the books that does not hold; empty when all is right."""
        found = []
        totals: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        locks: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        for account in self.accounts.values():
            for order in account.all_open():
                locks[account.name, order.symbol + order.side] += order.locked
            for asset, balance in account.balances.items():
                totals[asset] += balance.free + balance.locked
                if balance.free < 0 or balance.locked < 0:
                    found.append(f"{account.name} holds {balance.free} free and {balance.locked} locked {asset}")
        for asset in self.deposited.keys() | self.outside.keys() | self.fees.keys() | totals.keys():
            held = totals[asset] + self.outside[asset] + self.fees[asset]
            if held != self.deposited[asset]:
                found.append(f"{self.deposited[asset]} {asset} were deposited and {held} are there")
        return found
