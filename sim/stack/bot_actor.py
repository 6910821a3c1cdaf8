"""The paper bot of one stack: its own process, stepped cycle by cycle so that a scenario decides when it writes."""

import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sim.errors import SimError
from sim.stack.child import Child, Ended
from sim.stack.click_witness import FORBIDDEN
from sim.stack.exchange_actor import ExchangeActor
from sim.stack.launcher import Launcher
from sim.timeline import Timeline

MODULE = "sim.fake_bot"
ACTOR = "bot"
_CYCLE_TIMEOUT_S = 20.0


@dataclass(slots=True)
class BotActor:
    """Starts, steps, stops and kills the bot. One bot per stack."""

    launcher: Launcher
    timeline: Timeline
    environment: Mapping[str, str]
    exchange: ExchangeActor | None = None
    child: Child | None = None
    _stdin: int = field(default=-1, repr=False)
    _read: int = field(default=0, repr=False)

    def start(
        self,
        *,
        seed: int = 1,
        trade_every: int = 3,
        cold: bool = False,
        on_exchange: bool = False,
        limit_every: int = 2,
        rest_cycles: int = 2,
        environment: Mapping[str, str | None] | None = None,
    ) -> Child:
        """The bot's process, waiting for `cycle`. Same seed, same cycles: the same portfolio to the byte.

        `cold` starts a new Python instead of forking a warm one. `on_exchange` lets it trade on the story's exchange,
        where of its orders every `limit_every`-th is a LIMIT, cancelled after `rest_cycles`. `environment` overrides
        settings; None unsets one.
        """
        if self.child is not None and self.child.is_running():
            raise SimError("stage/bot_running", f"the bot already runs as pid {self.child.pid}; stop it first")
        self._hang_up()
        exchange, zygote = {}, None
        if on_exchange:
            if self.exchange is None:
                raise SimError("stage/no_exchange", "this bot has no exchange to trade on; start it without one")
            exchange, zygote = self.exchange.environment(), self.exchange.zygote()
        full = self._told({**exchange, **(environment or {})})
        read_fd, self._stdin = os.pipe()
        try:
            argv = ["--paper", "--paced", "--seed", str(seed), "--trade-every", str(trade_every)]
            if on_exchange:
                argv += ["--limit-every", str(limit_every), "--rest-cycles", str(rest_cycles)]
            if cold:
                command = [sys.executable, "-m", MODULE, *argv]
                self.child = self.launcher.cold(command, actor=ACTOR, environment=full, stdin=read_fd)
            else:
                self.child = self.launcher.warm(
                    MODULE, argv, actor=ACTOR, environment=full, stdin=read_fd, zygote=zygote
                )
        finally:
            os.close(read_fd)
        self._read = 0
        self.timeline.record(actor=ACTOR, kind="bot.started", subject=str(self.child.pid), seed=seed)
        return self.child

    def ended(self) -> Ended:
        """How a bot ended that was not told to: one that was refused, or broke."""
        if self.child is None:
            raise SimError("stage/bot_not_running", "no bot was started; start it first")
        return self._gone(self.child.wait())

    def try_beside(
        self, argv: Sequence[str] = ("--paper",), *, environment: Mapping[str, str | None] | None = None
    ) -> Ended:
        """How a further bot ended that was started for one cycle with this command line, whether one runs or not."""
        full = self._told(environment or {})
        child = self.launcher.warm(MODULE, [*argv, "--cycles", "1"], actor=ACTOR, environment=full)
        self.timeline.record(actor=ACTOR, kind="bot.started", subject=str(child.pid))
        ended = child.wait()
        self.timeline.record(actor=ACTOR, kind="bot.stopped", subject=str(ended.pid), exit_code=ended.exit_code)
        return ended

    def cycle(self) -> dict[str, Any]:
        """The report of one cycle: `cycle`, `portfolio_sha256`, `wrote_portfolio`, `exchange`.

        Raises: `SimError` (`stage/bot_ended`) when the bot ended instead; its last words are in the message.
        """
        child = self._running()
        self._tell(b"cycle\n")
        report = self._next_line(child)
        self.timeline.record(actor=ACTOR, kind="bot.cycled", subject=str(child.pid), **report)
        self._look()
        return report

    def cycle_to_its_end(self) -> Ended:
        """How the bot ended in its next cycle. Raises: `SimError` (`process/hung`) where it did not."""
        child = self._running()
        self._tell(b"cycle\n")
        return self._gone(child.wait(_CYCLE_TIMEOUT_S))

    def stop(self) -> Ended:
        """How the bot ended when told to."""
        child = self._running()
        self._tell(b"stop\n")
        return self._gone(child.wait())

    def kill(self) -> Ended:
        """How the bot ended after SIGKILL."""
        return self._gone(self._running().kill())

    def terminate(self) -> Ended:
        """How the bot ended after SIGTERM."""
        child = self._running()
        child.send(signal.SIGTERM)
        return self._gone(child.wait())

    @property
    def pid(self) -> int:
        """The running bot's process id."""
        return self._running().pid

    def close(self) -> None:
        """Effects: a bot that still runs is told to stop; the pipe to one that ended by itself is closed."""
        if self.child is not None and self.child.is_running():
            self.stop()
        self._hang_up()

    def _told(self, changed: Mapping[str, str | None]) -> dict[str, str]:
        # The bot calls a service in a process of its own, where no click of ours is watched.
        told = {**self.environment, "SIM_SERVICES": os.pathsep.join(FORBIDDEN), **changed}
        return {name: value for name, value in told.items() if value is not None}

    def _look(self) -> None:
        if self.exchange is not None:
            self.exchange.look()

    def _running(self) -> Child:
        if self.child is None or not self.child.is_running():
            raise SimError("stage/bot_not_running", "the bot is not running; start it first")
        return self.child

    def _tell(self, command: bytes) -> None:
        # A bot that has just ended reads no more; its end is told by whoever waits for its answer.
        with suppress(BrokenPipeError):
            os.write(self._stdin, command)

    def _hang_up(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def _gone(self, ended: Ended) -> Ended:
        self._hang_up()
        self.timeline.record(actor=ACTOR, kind="bot.stopped", subject=str(ended.pid), exit_code=ended.exit_code)
        self._look()
        return ended

    def _next_line(self, child: Child) -> dict[str, Any]:
        """The next line of the bot's output, which goes to a file, so it is looked at until it is whole."""
        for _ in range(int(_CYCLE_TIMEOUT_S / 0.001)):
            text = child.stdout_file.read_text()[self._read :]
            line, newline, _ = text.partition("\n")
            if newline:
                self._read += len(line) + 1
                found: dict[str, Any] = json.loads(line)
                return found
            if not child.is_running():
                raise SimError("stage/bot_ended", f"the bot ended in mid-cycle: {child.wait().stderr.strip()[-500:]}")
            select.select([], [], [], 0.001)
        raise SimError("stage/bot_silent", f"the bot reported no cycle within {_CYCLE_TIMEOUT_S:g} s")
