"""What a world holds, as plain JSON values: for audits, and for telling two moments apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from sim.exchange.amounts import text
from sim.exchange.ledger import Account
from sim.exchange.order_payloads import own_trade, queried
from sim.exchange.world import World


def snapshot(world: World) -> dict[str, Any]:
    """All balances, orders and fills, the fees, the outside, and the last prices. Times in microseconds. No key."""
    return {
        "time_us": world.now_us(),
        "accounts": {name: _account(account) for name, account in world.ledger.accounts.items()},
        "fees": {asset: text(amount) for asset, amount in sorted(world.ledger.fees.items())},
        "outside": {asset: text(amount) for asset, amount in sorted(world.ledger.outside.items())},
        "last_prices": {symbol: text(market.tape.last_price) for symbol, market in world.markets.items()},
        "requests": world.requests.total,
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "balances": {
            asset: {"free": text(balance.free), "locked": text(balance.locked)}
            for asset, balance in sorted(account.balances.items())
        },
        "orders": {
            f"{symbol}/{order_id}": queried(order, _microseconds)
            for symbol, orders in account.orders.items()
            for order_id, order in orders.items()
        },
        "trades": {
            f"{symbol}/{fill.trade_id}/{fill.order_id}": own_trade(fill, _microseconds)
            for symbol, fills in account.fills.items()
            for fill in fills
        },
    }


def _microseconds(time_us: int) -> int:
    return time_us


def difference(before: Any, after: Any, *, path: str = "") -> dict[str, list[Any]]:
    """What differs, by path (`accounts.bot.balances.BTC.free`): its value before and after, None if absent."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = {}
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{path}.{key}" if path else str(key)
            found.update(difference(before.get(key), after.get(key), path=inner))
        return found
    if isinstance(before, Sequence) and isinstance(after, Sequence) and not isinstance(before, str):
        return {} if list(before) == list(after) else {path: [before, after]}
    return {} if before == after else {path: [before, after]}
