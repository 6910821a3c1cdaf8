"""The market snapshot as a document: last prices and daily closes per asset. Source: contract §2."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sim.fake_bot.json_file import decimal_text, document, utc_text
from sim.fake_bot.prices import Quote

SCHEMA_VERSION: Final = 1


def market_document(quotes: Mapping[str, Quote], *, at: datetime) -> bytes:
    """The content of `state/market_snapshot.json`.

    Shape: `{"schema_version": 1, "generated_at", "assets": {symbol: {"last_price", "daily_closes": [{"date",
    "close"}]}}}`.
    Prices are decimal text in USDT; closes are of complete days only, oldest first.
    """
    return document(
        {
            "schema_version": SCHEMA_VERSION,
            "generated_at": utc_text(at),
            "assets": {
                symbol: {
                    "last_price": decimal_text(quote.last_price),
                    "daily_closes": [
                        {"date": close.date.isoformat(), "close": decimal_text(close.close)}
                        for close in quote.daily_closes
                    ],
                }
                for symbol, quote in quotes.items()
            },
        }
    )
