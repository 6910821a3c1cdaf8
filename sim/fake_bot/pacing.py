"""When the next cycle runs: at an interval, or when told to on standard input. SIGTERM ends either, between cycles."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from sim.fake_bot.errors import BotBroken, BotRefused

MAX_COMMAND_BYTES: Final = 4096
MAX_CYCLES: Final = 1_000_000_000
"""A bound on a loop that in practice a signal ends."""


class StopSignal:
    """Whether SIGTERM or SIGINT has arrived, and a wait that they cut short. Made by `stop_signal`."""

    def __init__(self, wake_up: int) -> None:
        self._wake_up = wake_up
        self.requested = False

    def wait(self, *, timeout_s: float, readable: int | None = None) -> bool:
        """True when the descriptor `readable` has something to read; False after a stop or the timeout."""
        watched = [self._wake_up] if readable is None else [self._wake_up, readable]
        if self.requested:
            return False
        ready, _, _ = select.select(watched, [], [], timeout_s)
        return readable in ready and not self.requested


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """A stop signal that listens until the block ends; the handlers that stood before are put back.

    A pipe wakes the wait: a flag alone would be missed between its check and the wait.
    """
    wake_up, waker = os.pipe()
    os.set_blocking(waker, False)
    stop = StopSignal(wake_up)

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        # A full pipe wakes the wait as well as one more byte would.
        with suppress(BlockingIOError):
            os.write(waker, b"!")

    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    # The interpreter's own write: `request` itself may run only after a wait that began just behind the signal.
    wake_up_before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wake_up_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake_up)
        os.close(waker)


def run_at_interval(
    run_cycle: Callable[[], object], stop: StopSignal, *, interval_s: float, max_cycles: int | None
) -> None:
    """Run cycles, each `interval_s` after the start of the one before or at once when that took longer."""
    due = time.monotonic()
    for _ in range(max_cycles or MAX_CYCLES):
        stop.wait(timeout_s=max(0.0, due - time.monotonic()))
        if stop.requested:
            return
        due = time.monotonic() + interval_s
        run_cycle()


def run_as_told(
    run_cycle: Callable[[], object], stop: StopSignal, *, commands: int, max_idle_s: float, max_cycles: int | None
) -> None:
    """Run one cycle for each line `cycle` on the descriptor `commands`, until `stop` or the end of it.

    Raises: `BotRefused` (`bot/unknown_command`); `BotBroken` (`bot/idle_too_long`) when nobody says anything.
    """
    told = b""
    done = 0
    while done < (max_cycles or MAX_CYCLES):
        line, separator, rest = told.partition(b"\n")
        if not separator:
            if len(told) > MAX_COMMAND_BYTES:
                raise _unknown(told)
            if not stop.wait(timeout_s=max_idle_s, readable=commands):
                if stop.requested:
                    return
                raise BotBroken("bot/idle_too_long", f"expected a command within {max_idle_s:g} s, found none; exiting")
            chunk = os.read(commands, MAX_COMMAND_BYTES)
            if not chunk:
                return
            told += chunk
            continue
        told = rest
        if line.strip() == b"stop" or stop.requested:
            return
        if line.strip() != b"cycle":
            raise _unknown(line)
        run_cycle()
        done += 1


def _unknown(line: bytes) -> BotRefused:
    shown = line[:40].decode(errors="replace")
    return BotRefused("bot/unknown_command", f"expected `cycle` or `stop` on standard input, found {shown!r}")
