"""Attempts by the bot's and the worker's own `main`, started wrong (matrices A, B, C, D at start-up; J)."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sim.fake_bot.__main__ import main as bot_main
from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import IMPOSED, OF_THE_BOT, OF_THE_WORKER, Attempt, Ended, Stage
from worker.command_worker import main as worker_main

MAINNET = "https://api.binance.com"
NOWHERE: Mapping[str, str] = {
    "GUI_DB_HOST": "127.0.0.1",
    "GUI_DB_PORT": "443",
    "GUI_DB_NAME": "tradingbot_gui",
    "GUI_DB_USER": "bot",
    "GUI_DB_PASSWORD": "none",
}
"""A database that is not there."""
FLAG = "BINANCE_TESTNET"
SPELLINGS: Mapping[str, str | None] = {
    "unset": None,
    "empty": "",
    "false": "false",
    "False": "False",
    "0": "0",
    "no": "no",
    "off": "off",
    "1": "1",
    "True": "True",
    "TRUE": "TRUE",
    "yes": "yes",
    "on": "on",
    "space before": " true",
    "space behind": "true ",
    "in quotes": '"true"',
    "comment behind": "true # paper",
    "zero width": "true\u200b",
    "full width": "\uff54\uff52\uff55\uff45",
    "line end": "true\r",
    "misspelt": "tru",
    "expansion": "${FLAG}",
}
ENV_FILES: Mapping[str, str | None] = {
    "missing": None,
    "false": f"{FLAG}=false\n",
    "empty": "",
    "commented out": f"# {FLAG}=true\n",
    "exported": f"export {FLAG}=true\n",
    "twice, false last": f"{FLAG}=true\n{FLAG}=false\n",
    "twice, false first": f"{FLAG}=false\n{FLAG}=true\n",
    "lower-case key": f"{FLAG.lower()}=true\n",
    "space before the sign": f"{FLAG} =true\n",
    "colon": f"{FLAG}: true\n",
    "byte order mark": f"\ufeff{FLAG}=true\n",
    "carriage return": f"{FLAG}=true\r\n",
}


def bot(
    stage: Stage, *, flag: str | None = "true", env_file: str | None = f"{FLAG}=true\n", url: str = MAINNET
) -> None:
    """A start of the bot that is told `url`. Raises: `Ended`."""
    home = home_of(stage, env_file)
    environment(home, flag, NOWHERE, url=url)
    stage.begin()
    ended(bot_main(["--paper", "--cycles", "1"]))


def bot_redirected(stage: Stage) -> None:
    """A start of the bot whose loopback exchange answers with a redirect to mainnet."""
    bot(stage, url=f"http://127.0.0.1:{stage.redirecting}/307")


def bot_with_proxy(stage: Stage) -> None:
    """A start of the bot with a proxy in its environment."""
    os.environ["HTTP_PROXY"] = "http://198.51.100.7:3128"
    bot(stage, url=f"http://127.0.0.1:{stage.redirecting}")


def worker(stage: Stage, *, flag: str | None, pid_file: str = "") -> None:
    """A start of the worker whose database is mainnet's address, in a home with such a pid file. Raises: `Ended`."""
    home = home_of(stage, None)
    if pid_file:
        (home / "logs" / "command_worker.pid").write_text(pid_file, encoding="ascii")
    environment(home, flag, {**NOWHERE, "GUI_DB_HOST": "api.binance.com"})
    stage.begin()
    ended(worker_main(["--once"]))


def led_elsewhere(main: Callable[[Sequence[str]], int], arguments: Sequence[str], stage: Stage) -> None:
    """A start in an environment where libpq connects to another address than that of its host. Raises: `Ended`."""
    environment(home_of(stage), "true", NOWHERE)
    os.environ["PGHOSTADDR"] = "203.0.113.9"
    stage.begin()
    ended(main(arguments))


def home_of(stage: Stage, env_file: str | None = f"{FLAG}=true\n") -> Path:
    """The bot's home with such an `.env`, or none."""
    (stage.home / ".env").unlink()
    if env_file is not None:
        (stage.home / ".env").write_text(env_file, encoding="utf-8", newline="")
    return stage.home


def environment(home: Path, flag: str | None, database: Mapping[str, str], *, url: str | None = None) -> None:
    """Effects: the environment of this process: its home, its database, and where it finds the exchange."""
    os.environ |= {"BOT_HOME": str(home), **database}
    for name, value in {FLAG: flag, "EXCHANGE_URL": url}.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def ended(code: int) -> None:
    """Nothing for exit code 0. Raises: `Ended`."""
    if code != 0:
        raise Ended(f"exit code {code}")


ATTEMPTS = (
    *(
        Attempt(row="A", name=f"bot, flag {name}", layers=OF_THE_BOT, make=partial(bot, flag=value))
        for name, value in SPELLINGS.items()
    ),
    *(
        Attempt(row="A", name=f"bot, .env {name}", layers=OF_THE_BOT, make=partial(bot, env_file=content))
        for name, content in ENV_FILES.items()
    ),
    *(
        Attempt(row="A", name=f"worker, flag {name}", layers=OF_THE_WORKER, make=partial(worker, flag=value))
        for name, value in SPELLINGS.items()
    ),
    Attempt(row="B", name="bot, production's URL", layers=OF_THE_BOT, make=bot),
    Attempt(row="C", name="bot, exchange redirects", layers=OF_THE_BOT, make=bot_redirected),
    Attempt(row="D", name="bot, proxy", layers=OF_THE_BOT, make=bot_with_proxy),
    Attempt(row="L", name="worker, database on mainnet", layers=OF_THE_WORKER, make=partial(worker, flag="true")),
    *(
        Attempt(
            row="L",
            name=f"{who}, libpq led elsewhere",
            layers=(Layer.DATABASE_ADDRESS, *IMPOSED),
            make=partial(led_elsewhere, main, arguments),
        )
        for who, main, arguments in (
            ("worker", worker_main, ["--once"]),
            ("bot", bot_main, ["--paper", "--cycles", "1"]),
        )
    ),
)
