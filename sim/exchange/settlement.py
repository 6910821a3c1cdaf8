"""Moves money: sets funds aside for an order, pays a trade out of them, and gives back what is left.

Every movement has its opposite, so that the ledger's sums hold after each call.
"""

from decimal import Decimal

from sim.exchange.amounts import ZERO, rounded_down
from sim.exchange.commission import discount_asset, in_discount_asset, in_received_asset
from sim.exchange.ledger import Account, Ledger
from sim.exchange.market import Market
from sim.exchange.order import Fill, Order, Trade
from sim.exchange.rules import SymbolRules


def funding_asset(rules: SymbolRules, side: str) -> str:
    """What an order of that side is paid with."""
    return rules.quote if side == "BUY" else rules.base


def needed(order: Order) -> Decimal:
    """What must stay set aside for the rest of an open order, in its funding asset."""
    if not order.is_buy:
        return order.remaining
    if order.executes_at_market:
        return order.locked
    return rounded_down(order.price * order.remaining)


class Settlement:
    """The money side of one exchange's engine."""

    def __init__(self, ledger: Ledger, markets: dict[str, Market]) -> None:
        self.ledger = ledger
        self._markets = markets

    def set_aside(self, order: Order, rules: SymbolRules, amount: Decimal) -> bool:
        """Locks the amount for the order; False, and nothing moved, where less is free."""
        balance = self._account(order).balance(funding_asset(rules, order.side))
        if balance.free < amount:
            return False
        balance.free -= amount
        balance.locked += amount
        order.locked += amount
        return True

    def keep(self, order: Order, rules: SymbolRules, amount: Decimal) -> None:
        """Gives back what is set aside for the order beyond `amount`."""
        surplus = order.locked - amount
        if surplus:
            balance = self._account(order).balance(funding_asset(rules, order.side))
            balance.locked -= surplus
            balance.free += surplus
            order.locked = amount

    def pay(self, order: Order, rules: SymbolRules, trade: Trade, *, is_maker: bool) -> Fill:
        """Pays one order's side of a trade and returns it as a fill; what is no longer needed is free again."""
        account = self._account(order)
        if order.is_buy:
            paid, received, received_asset = trade.quote_quantity, trade.quantity, rules.base
        else:
            paid, received, received_asset = trade.quantity, trade.quote_quantity, rules.quote
        account.balance(funding_asset(rules, order.side)).locked -= paid
        order.locked -= paid
        account.balance(received_asset).free += received
        commission, commission_asset = self._charge(account, received, received_asset, order.is_buy, is_maker)
        order.executed += trade.quantity
        order.quote_executed += trade.quote_quantity
        order.update_us = account.update_us = trade.time_us
        self.keep(order, rules, needed(order))
        return Fill(
            trade_id=trade.trade_id,
            symbol=order.symbol,
            order_id=order.order_id,
            is_buy=order.is_buy,
            price=trade.price,
            quantity=trade.quantity,
            quote_quantity=trade.quote_quantity,
            commission=commission,
            commission_asset=commission_asset,
            time_us=trade.time_us,
            is_maker=is_maker,
        )

    def outside(self, rules: SymbolRules, trade: Trade, *, buys: bool) -> None:
        """Books the side of a trade that no account has."""
        sign = 1 if buys else -1
        self.ledger.outside[rules.base] += sign * trade.quantity
        self.ledger.outside[rules.quote] -= sign * trade.quote_quantity

    def price_of(self, asset: str, quote: str) -> Decimal | None:
        """The last price of one asset in another; None where there is no such symbol."""
        market = self._markets.get(asset + quote)
        return None if market is None else market.tape.last_price

    def _charge(
        self, account: Account, received: Decimal, asset: str, is_buyer: bool, is_maker: bool
    ) -> tuple[Decimal, str]:
        """Takes the commission of a fill; the amount and its asset."""
        if account.rates.are_zero:
            return ZERO, asset
        if account.pays_in_discount_asset:
            amount = in_discount_asset(
                account.rates, received, asset, self.price_of, is_maker=is_maker, is_buyer=is_buyer
            )
            if amount is not None and account.balance(discount_asset()).free >= amount:
                return self._take(account, amount, discount_asset())
        amount = in_received_asset(account.rates, received, is_maker=is_maker, is_buyer=is_buyer)
        return self._take(account, amount, asset)

    def _take(self, account: Account, amount: Decimal, asset: str) -> tuple[Decimal, str]:
        account.balance(asset).free -= amount
        self.ledger.fees[asset] += amount
        return amount, asset

    def _account(self, order: Order) -> Account:
        return self.ledger.accounts[order.account]
