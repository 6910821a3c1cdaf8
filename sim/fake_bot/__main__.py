"""The command line of the fake bot: `python -m sim.fake_bot --paper`.

Exit codes: 0 stopped as told; 1 the database or the disk failed, start it again; 2 refused: arguments, settings, guard,
a damaged or foreign file, an older schema; 3 a defect, with its traceback.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sim.errors import SimError
from sim.fake_bot.database import Database
from sim.fake_bot.desk import Desk, PaperDesk
from sim.fake_bot.drift import DriftFlags
from sim.fake_bot.errors import BotBroken
from sim.fake_bot.exchange import require_exchange
from sim.fake_bot.exchange_client import ExchangeClient
from sim.fake_bot.exchange_desk import ExchangeDesk
from sim.fake_bot.exchange_sockets import SocketMaker
from sim.fake_bot.heartbeats import Heartbeats
from sim.fake_bot.journal import open_journal
from sim.fake_bot.loop import Bot, CycleReport
from sim.fake_bot.managed_files import ManagedFiles
from sim.fake_bot.management import Management
from sim.fake_bot.pacing import run_as_told, run_at_interval, stop_signal
from sim.fake_bot.prices import PriceWalk
from sim.fake_bot.scrubbing import scrubbed, secrets_of
from sim.fake_bot.settings import Settings, read_settings
from sim.guard import base_url, exchange_client
from sim.guard.refusal import Layer, refusal

STANDARD_INPUT = 0


def main(argv: Sequence[str]) -> int:
    """The exit code of one run of the bot. `argv` is without the program's name.

    Effects: as `Bot`; one sentence on standard error when the run did not end as told.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 2
    try:
        return _run(arguments)
    except BotBroken as error:
        return _ended(error, exit_code=1)
    except SimError as error:
        return _ended(error, exit_code=2)
    except OSError as error:
        where = error.filename or "standard output or a file of the home"
        return _ended(f"bot/disk: {where}: {error.strerror or error}; see to it and start the bot again", exit_code=1)
    except Exception:  # noqa: BLE001  (here the process ends)
        print(scrubbed(traceback.format_exc(), secrets_of(os.environ)), file=sys.stderr, flush=True)
        return 3


def _run(arguments: argparse.Namespace) -> int:
    _require_paper(arguments)
    settings = _guarded_settings()
    database = Database(settings.database)
    with (
        stop_signal() as stop,
        _desk(settings, arguments) as desk,
        open_journal(settings.home) as journal,
        Heartbeats(database) as heartbeats,
    ):
        bot = Bot(
            home=settings.home,
            journal=journal,
            heartbeats=heartbeats,
            management=Management(files=ManagedFiles(settings.home), flags=DriftFlags(database), adopts=desk.adopts),
            desk=desk,
            trade_every=arguments.trade_every,
        )
        if arguments.paced:
            run_as_told(
                lambda: _report(_cycle(bot)),
                stop,
                commands=STANDARD_INPUT,
                max_idle_s=arguments.max_idle_s,
                max_cycles=arguments.cycles,
            )
        else:
            run_at_interval(lambda: _cycle(bot), stop, interval_s=arguments.interval_s, max_cycles=arguments.cycles)
    return 0


@contextmanager
def _desk(settings: Settings, arguments: argparse.Namespace) -> Iterator[Desk]:
    """Where this run trades. Raises: `GuardRefused`, recorded, for an exchange that is neither testnet nor loopback."""
    account = settings.account
    if account is None:
        yield PaperDesk(PriceWalk(seed=arguments.seed))
        return
    with (
        exchange_client.open_client(account.url, timeout_s=account.timeout_s) as http,
        SocketMaker(account.stream_url, timeout_s=account.timeout_s) as streams,
        SocketMaker(account.ws_api_url, timeout_s=account.timeout_s) as ws_api,
    ):
        client = ExchangeClient(http, api_key=account.api_key, secret=account.secret, clock_ms=_civil_ms)
        desk = ExchangeDesk(
            client,
            user_connect=ws_api,
            price_connect=streams,
            seed=arguments.seed,
            limit_every=arguments.limit_every,
            rest_cycles=arguments.rest_cycles,
        )
        try:
            yield desk
        finally:
            desk.close()


def _civil_ms() -> int:
    return time.time_ns() // 1_000_000


def _require_paper(arguments: argparse.Namespace) -> None:
    """Nothing with `--paper`. Raises: `GuardRefused` (`guard/paper`), recorded."""
    if not arguments.paper:
        raise refusal(Layer.PAPER, "expected --paper, found it missing; there is no other mode")


def _guarded_settings() -> Settings:
    """The settings as they are now, once the guard has said yes to them and to the exchange that they name.

    One that the bot only looks at must answer; one that it trades on may be away for a while.

    Raises: as `read_settings` and `require_exchange`.
    """
    settings = read_settings(os.environ)
    if settings.account is not None:
        for url in (settings.account.url, settings.account.stream_url, settings.account.ws_api_url):
            base_url.require(url)
    elif settings.exchange_url is not None:
        require_exchange(settings.exchange_url)
    return settings


def _cycle(bot: Bot) -> CycleReport:
    """One cycle, before which the guard is asked again: what a home says may have changed since the bot was started."""
    _guarded_settings()
    return bot.run_cycle()


def _report(cycle: CycleReport) -> None:
    """Print the report as one line of JSON."""
    print(json.dumps(dataclasses.asdict(cycle)), flush=True)


def _ended(problem: object, *, exit_code: int) -> int:
    print(f"fake bot: {problem}", file=sys.stderr, flush=True)
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sim.fake_bot",
        allow_abbrev=False,
        description="A paper bot: keeps live_portfolio.json, its journal, state/market_snapshot.json, its heartbeats. "
        "Settings: GUI_DB_HOST, GUI_DB_PORT, GUI_DB_NAME, GUI_DB_USER, GUI_DB_PASSWORD, BOT_HOME and "
        "BINANCE_TESTNET=true in the environment, and the same BINANCE_TESTNET=true in BOT_HOME/.env. EXCHANGE_URL, "
        "if set, is a testnet or loopback URL that must answer before the bot starts, and before each cycle. With "
        "EXCHANGE_STREAM_URL, EXCHANGE_WS_API_URL, EXCHANGE_API_KEY and EXCHANGE_API_SECRET set too, prices and fills "
        "are the exchange's, the portfolio is the account of that key, and EXCHANGE_TIMEOUT_S (10) bounds each wait.",
    )
    parser.add_argument("--paper", action="store_true", help="trade on paper; required, there is no other mode")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the price walk (default 1)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--interval-s", type=_seconds, default=1.0, metavar="S", help="seconds between cycles (default 1)"
    )
    pace.add_argument(
        "--paced",
        action="store_true",
        help="read standard input: `cycle` runs one and prints its report as one line of JSON, `stop` exits",
    )
    parser.add_argument("--cycles", type=_count(1), default=None, metavar="N", help="stop after N cycles")
    parser.add_argument(
        "--trade-every", type=_count(0), default=3, metavar="N", help="trade on every N-th cycle (default 3, 0: never)"
    )
    parser.add_argument(
        "--limit-every",
        type=_count(0),
        default=2,
        metavar="N",
        help="on an exchange: of the orders every N-th is a LIMIT, the others are MARKET (default 2, 0: none)",
    )
    parser.add_argument(
        "--rest-cycles",
        type=_count(1),
        default=2,
        metavar="N",
        help="on an exchange: how long a LIMIT order may rest before it is cancelled (default 2)",
    )
    parser.add_argument(
        "--max-idle-s", type=_seconds, default=3600.0, metavar="S", help="with --paced: give up after S silent seconds"
    )
    return parser


class _count:
    """Parses a whole number from `least` to a million."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and self._least <= int(text[:8]) <= 1_000_000):
            raise argparse.ArgumentTypeError(f"expected a whole number from {self._least} to 1000000, found {text!r}")
        return int(text)


def _seconds(text: str) -> float:
    """The seconds in `text`, from 0 to 86400."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= 86_400.0:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to 86400, found {text!r}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
