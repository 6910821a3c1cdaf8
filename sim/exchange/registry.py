"""Which handler carries out which operation of `tables/operations.toml`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sim.exchange import account_reads, cancel_replace, klines, listen_key_calls, public_reads, tickers, trading
from sim.exchange.call import Call

Handler = Callable[[Call], Any]
"""Takes a call that has passed all checks; returns what is encoded as JSON, or raises ApiError."""

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ping": public_reads.ping,
        "time": public_reads.time,
        "rules": public_reads.rules,
        "depth": public_reads.depth,
        "trades": public_reads.trades,
        "historical_trades": public_reads.historical_trades,
        "aggregate_trades": public_reads.aggregate_trades,
        "klines": klines.klines,
        "ui_klines": klines.klines,
        "average_price": public_reads.average_price,
        "ticker_24h": tickers.ticker_24h,
        "ticker_trading_day": tickers.ticker_trading_day,
        "ticker_price": tickers.ticker_price,
        "ticker_book": tickers.ticker_book,
        "ticker_window": tickers.ticker_window,
        "order_place": trading.place,
        "order_test": trading.place_test,
        "order_query": account_reads.order,
        "order_cancel": trading.cancel,
        "open_orders_cancel": trading.cancel_all,
        "order_cancel_replace": cancel_replace.cancel_replace,
        "account": account_reads.account,
        "open_orders": account_reads.open_orders,
        "all_orders": account_reads.all_orders,
        "my_trades": account_reads.my_trades,
        "order_counts": account_reads.order_counts,
        "commission": account_reads.commission,
        "my_filters": account_reads.my_filters,
        "listen_key_create": listen_key_calls.create,
        "listen_key_keep": listen_key_calls.keep,
        "listen_key_close": listen_key_calls.close,
    }
)
