"""The first process of the namespace: the trip-wire, and the one that takes in orphans.

The kernel lets nobody within kill it, and ends everything within when it ends. One thread, one loop, no program of its
own: a fork of `sim netns`, which keeps the rights over its namespaces that the command of an ordinary user has not.
"""

import os
import selectors
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

from sim.netns import control
from sim.netns.attempts import Attempt
from sim.netns.exit_codes import ATTEMPTED, BROKEN, NOT_EXECUTABLE, NOT_FOUND, of_status
from sim.netns.lookups import name_book
from sim.netns.owners import Owners
from sim.netns.packets import BEYOND_HARDWARE
from sim.netns.tally import Tally, print_lines
from sim.netns.tripwire import Tripwire

_MAX_FRAME_BYTES = 128 * 1024
_MAX_FRAMES_AT_ONCE = 512
_MAX_FRAMES_WAITING = 1_000_000  # more than the socket holds, with those that answers bring
_SOURCE = slice(6, 12)  # of a frame
_STANDARD_ERROR = 2
_OF_PACKETS, _STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class ControlFailed(Exception):
    """The trip-wire did not tell of a deliberate attempt; it must not be trusted."""


class NetworkGone(Exception):
    """Somebody within took down the interface behind which the world is."""


class FirstProcess:
    """Runs one command and answers its packets.

    `orders` is a pipe of signal numbers, a byte each, for the command; its end means that nobody waits for us any more.
    """

    def __init__(self, world: socket.socket, orders: int, mask: set[signal.Signals]) -> None:
        if os.getpid() != 1:  # it ends every process of its namespace, which must not be everybody's
            raise RuntimeError(f"expected to be the first process of new pids, and am {os.getpid()}")
        self._world = world
        self._orders = orders
        self._mask = mask
        self._tally = Tally()
        self._selector = selectors.DefaultSelector()
        self._tripwire = Tripwire(
            names=name_book(),
            find_owner=Owners().of,
            told=self._keep,
            now_ns=time.time_ns,
            clock=time.monotonic,
        )
        self._listen_for_children()
        self._selector.register(world, selectors.EVENT_READ, self._answer)
        self._selector.register(orders, selectors.EVENT_READ, self._obey)
        self._command = 0

    def prove_itself(self) -> None:
        """Effects: nothing is left of the positive control. Raises: `ControlFailed`."""
        self._tally = Tally()
        code = of_status(self._serve(self._fork(_control)))
        missing = control.untold(self._tally.attempts)
        if code != 0 or missing:
            raise ControlFailed(f"not told: {'; '.join(missing)}" if missing else "one was not answered")

    def run(self, words: Sequence[str], report: TextIO | None) -> int:
        """The exit code for the command line `words`. Effects: attempts are told on standard error, and in `report`.

        At its end the trip-wire proves itself again: whoever is root within can take its network down.
        """
        tally = self._tally = Tally(report)
        self._unseen()
        try:
            self._command = self._fork(lambda: _become(words))
            code = of_status(self._serve(self._command))
            left, self._command = self._end_the_rest(), 0
            unseen = self._unseen()
            self.prove_itself()
        except (ControlFailed, NetworkGone) as error:
            print_lines([*tally.table(), f"NOT PROVEN: the trip-wire did not last, {error}"], sys.stderr)
            return BROKEN
        lines = [f"ended with the command, which left it running: {name}" for name in left]
        print_lines(lines + tally.tell(code, unseen), sys.stderr)
        return ATTEMPTED if tally.count or unseen else code

    def _serve(self, pid: int) -> int:
        """The exit status of the child. Until it ends packets are answered, orphans taken in and signals passed on."""
        while True:
            deadline = self._tripwire.deadline
            wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, _ in self._selector.select(wait_s):
                key.data()
            self._send(self._tripwire.expire())
            status = _reap(pid)
            if status is not None:
                self._answer(_MAX_FRAMES_WAITING)
                self._tripwire.close()
                return status

    def _answer(self, most: int = _MAX_FRAMES_AT_ONCE) -> None:
        """Effects: packets that have come are answered, at most so many. Raises: `NetworkGone`."""
        for _ in range(most):
            try:
                frame = self._world.recv(_MAX_FRAME_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                raise NetworkGone(f"its network was taken down: {error.strerror}") from error
            if frame[_SOURCE] != BEYOND_HARDWARE:  # what we send comes by here too
                self._send(self._tripwire.receive(frame))

    def _send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            with suppress(OSError):  # an answer that finds no room is asked for again, as in any network
                self._world.send(frame)

    def _obey(self) -> None:
        numbers = os.read(self._orders, 64)
        if not numbers:
            os._exit(0)  # and with us everything within
        for number in numbers if self._command else b"":
            with suppress(ProcessLookupError):
                os.kill(self._command, number)

    def _keep(self, attempt: Attempt) -> None:
        self._tally.keep(attempt)

    def _unseen(self) -> int:
        """How many packets found no room since this was asked last."""
        return int(struct.unpack("=II", self._world.getsockopt(_OF_PACKETS, _STATISTICS, 8))[1])

    def _end_the_rest(self) -> list[str]:
        """The names of the processes that the command left running. Effects: they are gone, and heard to the last."""
        left = _others()
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # all of the namespace but us
        while _reap_one():
            pass
        self._answer(_MAX_FRAMES_WAITING)
        self._tripwire.close()
        return left

    def _listen_for_children(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        self._selector.register(reading, selectors.EVENT_READ, lambda: os.read(reading, 4096))

    def _fork(self, go_on: Callable[[], None]) -> int:
        """The pid of a child that does `go_on` and ends, with the signals of whoever called `sim netns`."""
        pid = os.fork()
        if pid:
            return pid
        code = NOT_EXECUTABLE
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, *_IGNORED_BY_PYTHON):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            go_on()
            code = 0
        except FileNotFoundError as error:
            print(f"sim netns: {error.filename}: {error.strerror}", file=sys.stderr, flush=True)
            code = NOT_FOUND
        except OSError as error:
            print(f"sim netns: {error.filename}: {error.strerror}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)


def _control() -> None:
    try:
        control.attempt_everything()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "a deliberate attempt") from error


def _become(words: Sequence[str]) -> NoReturn:
    for number in _foreign_sockets():
        os.set_inheritable(number, False)
        print_lines([f"descriptor {number} is a network socket from outside, and is not passed on"], sys.stderr)
    try:
        os.execvp(words[0], list(words))
    except OSError as error:  # Python names no file here
        raise OSError(error.errno, error.strerror, words[0]) from error


def _foreign_sockets() -> list[int]:
    """The descriptors that the command would get and that lead out whatever its namespace: sockets but Unix ones."""
    found = []
    for number in sorted(int(entry) for entry in os.listdir("/proc/self/fd")):
        with suppress(OSError):  # the descriptor by which the folder was read is closed by now
            if number > _STANDARD_ERROR and os.get_inheritable(number) and stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as probe:
                    found += [number] if probe.family != socket.AF_UNIX else []
    return found


def _reap(pid: int) -> int | None:
    """The status of this child if it has ended. Effects: every child that has ended is taken in."""
    found = None
    while ended := _reap_ended():
        found = ended[1] if ended[0] == pid else found
    return found


def _reap_ended() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _reap_one() -> bool:
    """Whether there was a child to wait for; each of them has been killed."""
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return False
    return True


def _others() -> list[str]:
    """The living processes of the namespace but ourselves, as `name [pid]`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as told:
            name, _, rest = told.read().partition("(")[2].rpartition(")")
            if rest.split()[0] not in "ZX":
                found.append(f"{name} [{entry}]")
    return found
