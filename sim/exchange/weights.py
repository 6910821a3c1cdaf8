"""What a request weighs where that depends on its parameters, which are looked at before anybody checked them."""

from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

Sent = Mapping[str, str]


def _number_of_symbols(sent: Sent) -> int:
    return unquote_plus(sent["symbols"]).count(",") + 1 if "symbols" in sent else 1


def _depth(sent: Sent) -> int:
    limit = sent.get("limit", "100")
    wanted = int(limit) if len(limit) <= 20 and limit.isascii() and limit.isdecimal() else 100
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if wanted <= most), 250)


def _ticker_24h(sent: Sent) -> int:
    if "symbol" in sent:
        return 2
    if "symbols" not in sent:
        return 80
    number = _number_of_symbols(sent)
    return next((weight for most, weight in ((20, 2), (100, 40)) if number <= most), 80)


def _per_symbol(sent: Sent) -> int:
    return min(4 * _number_of_symbols(sent), 200)


def _one_or_many(sent: Sent) -> int:
    return 2 if "symbol" in sent else 4


def _open_orders(sent: Sent) -> int:
    return 6 if "symbol" in sent else 80


def _my_trades(sent: Sent) -> int:
    return 5 if "orderId" in sent else 20


def _order_test(sent: Sent) -> int:
    return 20 if sent.get("computeCommissionRates", "").lower() == "true" else 1


RULES: Mapping[str, Callable[[Sent], int]] = {
    "depth": _depth,
    "ticker_24h": _ticker_24h,
    "per_symbol": _per_symbol,
    "one_or_many": _one_or_many,
    "open_orders": _open_orders,
    "my_trades": _my_trades,
    "order_test": _order_test,
}
