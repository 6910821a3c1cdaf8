"""Attempts by the bot's and the worker's own `main`, started wrong (matrices A, B, C, D at start-up; J)."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sim.fake_bot.__main__ import main as bot_main
from sim.guard_matrix.attempt import OF_THE_BOT, OF_THE_WORKER, Attempt, Stage
from worker.command_worker import main as worker_main
from worker.contracts.canonical_json import dumps_canonical
from worker.contracts.commands import understood_versions

MAINNET = "https://api.binance.com"
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


class Ended(Exception):
    """The process ended with an exit code that is not 0."""


def bot(
    stage: Stage, *, flag: str | None = "true", env_file: str | None = f"{FLAG}=true\n", url: str = MAINNET
) -> None:
    """A start of the bot that is told `url`. Raises: `Ended`."""
    home = _home(stage, env_file)
    _environment(home, flag, database="127.0.0.1")
    os.environ["EXCHANGE_URL"] = url
    _ended(bot_main(["--paper", "--cycles", "1"]))


def bot_redirected(stage: Stage) -> None:
    """A start of the bot whose loopback exchange answers with a redirect to mainnet."""
    bot(stage, url=f"http://127.0.0.1:{stage.port}/307")


def bot_with_proxy(stage: Stage) -> None:
    """A start of the bot with a proxy in its environment."""
    os.environ["HTTP_PROXY"] = "http://198.51.100.7:3128"
    bot(stage, url=f"http://127.0.0.1:{stage.port}")


def worker(stage: Stage, *, flag: str | None) -> None:
    """A start of the worker whose database is mainnet's address. Raises: `Ended`."""
    home = _home(stage, None)
    versions = home / "gui" / "command_bus_versions.json"
    versions.parent.mkdir(exist_ok=True)
    versions.write_bytes(dumps_canonical(dict(understood_versions())))
    _environment(home, flag, database="api.binance.com")
    _ended(worker_main(["--once"]))


def _home(stage: Stage, env_file: str | None) -> Path:
    home = Path(stage.home)
    (home / ".env").unlink(missing_ok=True)
    if env_file is not None:
        (home / ".env").write_text(env_file, encoding="utf-8", newline="")
    return home


def _environment(home: Path, flag: str | None, *, database: str) -> None:
    """Effects: the environment of this process, whose database is port 443 of the host `database`."""
    os.environ |= {"BOT_HOME": str(home), "GUI_DB_HOST": database, "GUI_DB_PORT": "443"}
    os.environ |= {"GUI_DB_NAME": "tradingbot_gui", "GUI_DB_USER": "bot", "GUI_DB_PASSWORD": "none"}
    os.environ.pop(FLAG, None)
    if flag is not None:
        os.environ[FLAG] = flag


def _ended(code: int) -> None:
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
)
