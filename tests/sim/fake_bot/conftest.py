"""A database, a home and three ways to run the bot: as a user would, forked from a warm process, killed on the way."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.reading import content_of, sha256_of
from sim.postgres.leases import Lease, LeasePool

ROOT = Path(__file__).parents[3]
ANSWER_TIMEOUT_S = 20.0
EPOCH = "2026-05-12T09:00:00Z"


@pytest.fixture
def database(lease_pool: LeasePool) -> Iterator[Lease]:
    """A clean database whose clock stands still at `EPOCH`."""
    with lease_pool.acquire() as lease:
        lease.connection.execute(
            "INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', %s, false)", (EPOCH,)
        )
        yield lease


def make_home(folder: Path) -> Path:
    """A home as it is before the bot's first start."""
    folder.mkdir()
    (folder / ".env").write_bytes(b"BINANCE_TESTNET=true\n")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def environment_of(home: Path, database: Mapping[str, str]) -> dict[str, str]:
    """The bot's environment, free of whatever this one holds."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, **database, "BOT_HOME": str(home), "BINANCE_TESTNET": "true"}


@pytest.fixture
def environment(home: Path, database: Lease) -> dict[str, str]:
    return environment_of(home, database.address.environment())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run of the bot ended."""

    exit_code: int
    errors: str
    operations: tuple[str, ...] = ()


class WarmBot:
    """Runs the bot to its end in a child of a warm process."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._asked = 0

    def run(
        self,
        environment: Mapping[str, str],
        *options: str,
        paper: bool = True,
        kill_at: int | None = None,
        halfway: bool = False,
        max_file_bytes: int | None = None,
    ) -> Ended:
        """How it ended.

        `kill_at` is the number of the file operation before which it is killed, with `halfway` once a write is half
        done; no file may grow beyond `max_file_bytes`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        request = {
            "number": self._asked,
            "argv": [*(["--paper"] if paper else []), "--interval-s", "0", *options],
            "environment": dict(environment),
            "kill_at": kill_at,
            "halfway": halfway,
            "max_file_bytes": max_file_bytes,
            "errors": str(self._errors),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = {"number": 0}
        # A test that ran out of time has left its answer behind; it is not the next one's.
        while answer["number"] != self._asked:
            ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_TIMEOUT_S)
            assert ready, "the warm process did not answer in time"
            answer = json.loads(self._process.stdout.readline())
        return Ended(
            exit_code=answer["exit_code"], errors=self._errors.read_text(), operations=tuple(answer["operations"])
        )


@pytest.fixture(scope="session")
def warm_bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmBot]:
    command = [sys.executable, "-m", "tests.sim.fake_bot.crash_zygote"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield WarmBot(process, tmp_path_factory.mktemp("bot") / "errors")
        assert process.stdin is not None
        process.stdin.close()
        process.wait(ANSWER_TIMEOUT_S)


class BotProcess:
    """A bot started as a user starts it."""

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sim.fake_bot", "--paper", *options],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def cycle(self) -> dict[str, Any]:
        """The report of one cycle of a paced bot."""
        self.say("cycle")
        line = self.line()
        assert line, self.end().errors
        found: dict[str, Any] = json.loads(line)
        return found

    def say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> bytes:
        """The next line on standard output; empty at its end."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_TIMEOUT_S)
        assert ready, "the bot did not answer in time"
        return self.process.stdout.readline()

    def end(self) -> Ended:
        """How it ended, once standard input is closed or a signal was sent."""
        _, errors = self.process.communicate(timeout=ANSWER_TIMEOUT_S)
        return Ended(exit_code=self.process.returncode, errors=errors.decode())

    def discard(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=ANSWER_TIMEOUT_S)


StartBot = Callable[..., BotProcess]


@pytest.fixture
def start_bot() -> Iterator[StartBot]:
    """Starts bots that are gone at the end of the test, however it ends."""
    with ExitStack() as started:

        def start(environment: Mapping[str, str], *options: str) -> BotProcess:
            bot = BotProcess(environment, *options)
            started.callback(bot.discard)
            return bot

        yield start


def heartbeats(database: Lease) -> list[tuple[Any, ...]]:
    return database.connection.execute(
        "SELECT pid, mode, cycle, portfolio_sha256, created_at::text FROM bot_statuses ORDER BY id"
    ).fetchall()


def portfolio_sha256(home: Path) -> str | None:
    return sha256_of(content_of(home / paths.PORTFOLIO))


def wait_until(connection: psycopg.Connection[tuple[Any, ...]], condition: str) -> None:
    """Wait in the server, at most ten seconds, until the SQL `condition` holds."""
    for _ in range(1000):
        row = connection.execute(f"SELECT {condition}").fetchone()
        if row is not None and row[0]:
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"{condition} did not come true")
