"""Attempts by a bot that already runs, by one beside it, and by processes started wrong (matrices A to D, and K)."""

import os
import threading
from collections.abc import Callable
from functools import partial

from sim.fake_bot.__main__ import main as bot_main
from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import OF_A_CLIENT, OF_THE_BOT, OF_THE_WORKER, Attempt, Ended, Stage
from sim.guard_matrix.by_process import FLAG, MAINNET, NOWHERE, ended, environment, home_of, worker
from sim.guard_matrix.servers import TURNING

PACED = ("--paper", "--paced", "--max-idle-s", "20")
PROXY = "http://198.51.100.7:3128"
GONE_PID = 4_194_303
"""Nearly the highest that a kernel gives: nobody's."""


def running_bot(change: Callable[[Stage], object], stage: Stage, *, path: str = "") -> None:
    """A bot on loopback runs a cycle; then something changes, and it is told to run another. Raises: `Ended`."""
    home_of(stage)
    url = f"http://127.0.0.1:{stage.redirecting}{path}"
    environment(stage.home, "true", stage.database.environment(), url=url)
    director = _Director(stage, change)
    director.start()
    ended(bot_main(PACED))


def second_bot(stage: Stage) -> None:
    """A bot that was told mainnet starts in the home where another runs on loopback. Raises: `Ended`."""
    home_of(stage)
    loopback = f"http://127.0.0.1:{stage.redirecting}"
    environment(stage.home, "true", stage.database.environment(), url=loopback)
    director = _Director(stage, lambda _: None, then=b"")
    first = os.fork()
    if not first:
        director.take_over()
        os._exit(bot_main(PACED))
    director.run_first_cycle()
    try:
        os.environ["EXCHANGE_URL"] = MAINNET
        ended(bot_main(["--paper", "--cycles", "1"]))
    finally:
        director.tell(b"stop\n")
        _wait_for(first)


def without_paper(stage: Stage) -> None:
    """A bot that was told mainnet, and nothing of paper. Raises: `Ended`."""
    home_of(stage)
    environment(stage.home, "true", NOWHERE, url=MAINNET)
    stage.begin()
    ended(bot_main(["--cycles", "1"]))


def forked_bot(flag: str | None, stage: Stage) -> None:
    """A bot that is a child with other words in its environment. Raises: `Ended`."""
    home_of(stage)
    environment(stage.home, flag, NOWHERE, url=MAINNET)
    stage.begin()
    pid = os.fork()
    if not pid:
        os._exit(bot_main(["--paper", "--cycles", "1"]))
    _wait_for(pid)


def _wait_for(pid: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ended(code)


class _Director(threading.Thread):
    """Tells a bot when to run its cycles, and changes something between the first and the next."""

    def __init__(self, stage: Stage, change: Callable[[Stage], object], *, then: bytes = b"cycle\nstop\n") -> None:
        super().__init__(daemon=True)
        self._stage, self._change, self._then = stage, change, then
        self._stdin, self._tells = os.pipe()
        self._hears, self._stdout = os.pipe()

    def start(self) -> None:
        """Effects: the bot of this process is directed."""
        self.take_over()
        super().start()

    def run(self) -> None:
        """Effects: a cycle, the change, and the rest."""
        self.run_first_cycle()
        self.tell(self._then)

    def run_first_cycle(self) -> None:
        """Effects: the bot has run a cycle, then something has changed, and the stage looks on from there."""
        self.tell(b"cycle\n")
        if not os.read(self._hears, 1):
            raise Ended("the bot ran no first cycle")
        self._change(self._stage)
        self._stage.begin()

    def tell(self, words: bytes) -> None:
        """Effects: the bot hears these."""
        os.write(self._tells, words)

    def take_over(self) -> None:
        """Effects: standard input and output of this process are the director's."""
        os.dup2(self._stdin, 0)
        os.dup2(self._stdout, 1)


def _set(*, env_file: str | None = None, **variables: str) -> Callable[[Stage], None]:
    """A change of the home's `.env`, and of variables of the running process."""

    def change(stage: Stage) -> None:
        if env_file is not None:
            (stage.home / ".env").write_text(env_file, encoding="utf-8")
        os.environ |= variables

    return change


ATTEMPTS = (
    Attempt(
        row="A",
        name="running bot, .env and URL switched",
        layers=OF_THE_BOT,
        make=partial(running_bot, _set(env_file=f"{FLAG}=false\n", EXCHANGE_URL=MAINNET)),
    ),
    Attempt(
        row="A",
        name="running bot, flag and URL switched",
        layers=OF_THE_BOT,
        make=partial(running_bot, _set(**{FLAG: "false", "EXCHANGE_URL": MAINNET})),
    ),
    Attempt(
        row="B",
        name="running bot, URL switched",
        layers=OF_A_CLIENT,
        make=partial(running_bot, _set(EXCHANGE_URL=MAINNET)),
    ),
    Attempt(
        row="C",
        name="running bot, exchange begins to redirect",
        layers=OF_A_CLIENT,
        make=lambda stage: running_bot(_set(), stage, path=f"/{TURNING}-{os.getpid()}"),
    ),
    Attempt(
        row="D",
        name="running bot, proxy set",
        layers=OF_A_CLIENT,
        make=partial(running_bot, _set(HTTP_PROXY=PROXY)),
    ),
    Attempt(row="K", name="bot without --paper", layers=(Layer.PAPER, *OF_A_CLIENT), make=without_paper),
    Attempt(row="K", name="child bot, flag cleared", layers=OF_THE_BOT, make=partial(forked_bot, None)),
    Attempt(row="K", name="child bot, flag changed", layers=OF_THE_BOT, make=partial(forked_bot, "false")),
    Attempt(row="K", name="second bot, told mainnet", layers=OF_A_CLIENT, make=second_bot),
    *(
        Attempt(
            row="K",
            name=f"worker, flag false, pid file of {whose}",
            layers=OF_THE_WORKER,
            make=partial(worker, flag="false", pid_file=f"{pid}\n"),
        )
        for whose, pid in (("nobody", GONE_PID), ("somebody", 1))
    ),
)
