"""The paths of the bot's home that the bot reads or writes.

Source: contract §2. Temporary names stand here too, so that a watcher can tell a write in flight from a stray file.
"""

from pathlib import Path
from typing import Final

ENV: Final = Path(".env")
"""Read, never written."""

PORTFOLIO: Final = Path("live_portfolio.json")
MARKET: Final = Path("state/market_snapshot.json")
BASELINE: Final = Path("state/baseline_holdings.json")
MANAGED_STATE: Final = Path("state/managed_state.json")
INTENT: Final = Path("state/.intent.json")
"""The worker's three: read, never written."""

JOURNAL: Final = Path("logs/bot_journal.jsonl")
LOG: Final = Path("logs/bot.log")


def staged(path: Path) -> Path:
    """Where the next content of `path` waits for its rename: in the same folder, so that the rename is atomic."""
    return path.with_name(f".{path.name}.staged")


WRITTEN: Final = frozenset({PORTFOLIO, MARKET, JOURNAL, LOG, staged(PORTFOLIO), staged(MARKET)})
"""Every path, relative to the home, that the bot may create or change."""
