"""Where the bot's home and database are, and that both the home and the environment say testnet.

Source: contract §4 (names), §9 (`BINANCE_TESTNET` must be exactly `true`). The bot's `.env` is read, never written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sim.fake_bot import home as paths
from sim.fake_bot.errors import BotRefused
from sim.guard.refusal import Layer, refusal
from worker.guards.database_address import database_address_problems

FLAG: Final = "BINANCE_TESTNET"
MAX_ENV_BYTES: Final = 65_536
MAX_TIMEOUT_S: Final = 60.0
MAX_SHOWN_CHARS: Final = 12
"""A longer value may be a key or a password in the wrong line, so only its length is shown."""

DATABASE_VARIABLES: Final[Mapping[str, str]] = {
    "GUI_DB_HOST": "host",
    "GUI_DB_PORT": "port",
    "GUI_DB_NAME": "dbname",
    "GUI_DB_USER": "user",
}


EXCHANGE_VARIABLES: Final = (
    "EXCHANGE_URL",
    "EXCHANGE_STREAM_URL",
    "EXCHANGE_WS_API_URL",
    "EXCHANGE_API_KEY",
    "EXCHANGE_API_SECRET",
)
"""Set together they make the bot trade on its exchange; `EXCHANGE_URL` alone is only asked before the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeAccount:
    """Where the exchange of the bot's account is, as it was told, and the key, which never shows."""

    url: str
    stream_url: str
    ws_api_url: str
    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a start of the bot needs. `database` holds libpq keywords, the password among them, and never shows.

    `exchange_url` is as it was told, and not yet judged; None: the bot has no exchange. With `account` it trades there,
    else on its own prices.
    """

    home: Path
    database: Mapping[str, str] = field(repr=False)
    exchange_url: str | None = None
    account: ExchangeAccount | None = None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment` and in the `.env` of the home it names.

    Raises: `BotRefused` (`bot/settings`), naming every problem at once; (`bot/not_testnet`) unless both places say that
    this is testnet; `GuardRefused` (`guard/database_address`), recorded, for a database looked for elsewhere.
    """
    problems = [f"{name} is not set" for name in (*DATABASE_VARIABLES, "BOT_HOME") if not environment.get(name)]
    port = environment.get("GUI_DB_PORT") or "1"
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535):
        problems.append(f"GUI_DB_PORT is {_shown(port)}, expected a port from 1 to 65535")
    home = Path(environment.get("BOT_HOME") or "/")
    if not (home.is_absolute() and home.is_dir()):
        problems.append(f"BOT_HOME is {str(home)!r}, expected the absolute path of a folder")
    told = {name: environment.get(name, "") for name in EXCHANGE_VARIABLES}
    trades_there = any(told[name] for name in EXCHANGE_VARIABLES[1:])
    if trades_there:
        problems += [f"{name} is not set, and the bot is to trade on an exchange" for name in told if not told[name]]
    problems += _unsendable(environment)
    timeout_s = _seconds(environment.get("EXCHANGE_TIMEOUT_S") or "10", problems)
    if problems:
        raise BotRefused("bot/settings", "; ".join(problems) + "; set the variables and start again")
    _require_testnet(environment, home / paths.ENV)
    _require_database_address(environment)
    database = {keyword: environment[name] for name, keyword in DATABASE_VARIABLES.items()}
    password = environment.get("GUI_DB_PASSWORD")
    return Settings(
        home=home,
        database=database | ({"password": password} if password else {}),
        exchange_url=environment.get("EXCHANGE_URL"),
        account=ExchangeAccount(
            url=told["EXCHANGE_URL"],
            stream_url=told["EXCHANGE_STREAM_URL"],
            ws_api_url=told["EXCHANGE_WS_API_URL"],
            api_key=told["EXCHANGE_API_KEY"],
            secret=told["EXCHANGE_API_SECRET"],
            timeout_s=timeout_s,
        )
        if trades_there
        else None,
    )


def _unsendable(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each setting that no driver, and for each key that no header, can carry; none shows a value."""
    names = [*DATABASE_VARIABLES, "GUI_DB_PASSWORD", *EXCHANGE_VARIABLES]
    problems = [f"{name} is not UTF-8 text" for name in names if not _is_text(environment.get(name, ""))]
    keys = {name: environment.get(name, "") for name in ("EXCHANGE_API_KEY", "EXCHANGE_API_SECRET")}
    return problems + [
        f"{name} has other than printable ASCII characters, or blanks"
        for name, key in keys.items()
        if _is_text(key) and not (key.isascii() and key.isprintable() and " " not in key)
    ]


def _is_text(value: str) -> bool:
    """False for bytes that are no UTF-8, which Python hides in half surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _seconds(text: str, problems: list[str]) -> float:
    """How long an answer of the exchange is waited for. Effects: a `text` that is no such time is a problem."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.0 < found <= MAX_TIMEOUT_S:
        problems.append(f"EXCHANGE_TIMEOUT_S is {_shown(text)}, expected seconds above 0, at most {MAX_TIMEOUT_S:g}")
    return found


def _require_testnet(environment: Mapping[str, str], path: Path) -> None:
    found = environment.get(FLAG)
    problems = [] if found == "true" else [f"the environment's {FLAG} is {_shown(found)}"]
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ENV_BYTES + 1)
    except OSError as error:
        problems.append(f"{path} cannot be read ({error.strerror})")
    else:
        values = flags_in(content)
        if len(content) > MAX_ENV_BYTES:
            problems.append(f"{path} is longer than {MAX_ENV_BYTES} bytes")
        if values != ("true",):
            shown = ", then ".join(_shown(value) for value in values) or "not set"
            problems.append(f"{FLAG} in {path} is {shown}")
    if problems:
        told = f"expected {FLAG} to be exactly 'true' in both places; " + "; ".join(problems)
        raise BotRefused("bot/not_testnet", told) from refusal(Layer.FLAG, told)


def _require_database_address(environment: Mapping[str, str]) -> None:
    found = database_address_problems(environment)
    if found:
        raise refusal(Layer.DATABASE_ADDRESS, "; ".join(found))


def flags_in(content: bytes) -> tuple[str, ...]:
    """Every value of `BINANCE_TESTNET` in a `.env` file, to the byte: quotes, spaces, carriage returns belong to it."""
    prefix = f"{FLAG}=".encode()
    return tuple(
        line.removeprefix(prefix).decode(errors="replace") for line in content.split(b"\n") if line.startswith(prefix)
    )


def _shown(value: str | None) -> str:
    if value is None:
        return "not set"
    return ascii(value) if len(value) <= MAX_SHOWN_CHARS else f"{len(value)} characters"
