"""The bot asks its exchange once before it starts: a foreign URL, redirect or proxy is refused there.

Source: contract §9 (bot).
"""

from typing import Final

import httpx

from sim.fake_bot.errors import BotBroken
from sim.guard import exchange_client

PING: Final = "/api/v3/ping"


def require_exchange(url: str) -> None:
    """Nothing when the exchange at `url` answers.

    Raises: `GuardRefused`, recorded, for anything but testnet or loopback; `BotBroken` (`bot/exchange`) where nobody
    answers, or not with success.
    """
    try:
        with exchange_client.open_client(url) as client:
            client.get(PING).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BotBroken("bot/exchange", f"the exchange did not answer ({type(error).__name__}); start it") from error
