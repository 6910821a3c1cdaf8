"""The warm process's children: one waits ready for its request, the others run; the end of each is told on its pipe.

The child that waits has paid for its fork and its page faults before it is asked for. Every child comes this way: where
none waits, one is made on the spot.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sim.stack.forked import STREAMS, Main, become, stand_by
from sim.stack.touched_pages import PageRange, from_plain, touched_pages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A child that waits, and where its request goes."""

    pid: int
    channel: socket.socket


@dataclass(slots=True, kw_only=True)
class Nursery:
    """The children of this process. `own_descriptors` are the process's own, which no child may have."""

    mains: Mapping[str, Main]
    pages: Sequence[PageRange]
    own_descriptors: Sequence[int]
    _running: dict[int, int] = field(default_factory=dict)
    _waiting: _Waiting | None = None

    @property
    def is_prepared(self) -> bool:
        """True while a child waits."""
        return self._waiting is not None

    def prepare(self) -> None:
        """Effects: a child waits."""
        if self._waiting is None:
            self._waiting = self._fork()

    def start(self, message: bytes, descriptors: Sequence[int]) -> int:
        """The pid of the child that becomes what `message` says; its exit code will come on the last of `descriptors`.

        Effects: the other ones are the child's, and closed here.
        """
        *streams, exit_code_fd = descriptors
        waiting, self._waiting = self._waiting, None
        # None may have waited, or it was killed and nobody has noticed yet.
        if waiting is None or not _sent(waiting, message, streams):
            waiting = self._fork(not_to_have=descriptors)
            _sent(waiting, message, streams)
        self._running[waiting.pid] = exit_code_fd
        for stream in streams:
            os.close(stream)
        return waiting.pid

    def reap(self) -> None:
        """Effects: the exit code of every child that has ended is told; one that ended while it waited is let go."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if self._waiting is not None and pid == self._waiting.pid:
                    self._waiting.channel.close()
                    self._waiting = None
                write_fd = self._running.pop(pid, None)
                if write_fd is not None:
                    with suppress(BrokenPipeError):
                        os.write(write_fd, json.dumps(os.waitstatus_to_exitcode(status)).encode())
                    os.close(write_fd)

    def end_all(self) -> None:
        """Effects: every child is killed."""
        waiting = () if self._waiting is None else (self._waiting.pid,)
        for pid in (*self._running, *waiting):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _fork(self, *, not_to_have: Sequence[int] = ()) -> _Waiting:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            # The end of the channel tells the child that this process has gone, so nobody else may hold our side.
            ours.close()
            for descriptor in (*self.own_descriptors, *self._running.values(), *not_to_have):
                os.close(descriptor)
            stand_by(theirs, self.mains, self.pages)
        theirs.close()
        return _Waiting(pid=pid, channel=ours)


def _sent(child: _Waiting, message: bytes, streams: Sequence[int]) -> bool:
    with child.channel, suppress(ConnectionError):
        socket.send_fds(child.channel, [message], streams)
        return True
    return False


def pages_of_a_run(main: Main, environment: Mapping[str, str]) -> Sequence[PageRange]:
    """The pages that a worker run touches in a child; none where that cannot be told.

    Effects: a child runs one waiting command of the database that `environment` names.
    """
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:

        def run_and_tell(argv: list[str]) -> object:
            exit_code = main(argv)
            with open(write_fd, "w") as told:
                json.dump([found.to_plain() for found in touched_pages()], told)
            return exit_code

        streams = [os.open(os.devnull, os.O_RDWR) for _ in range(STREAMS)]
        request = {"module": "", "argv": ["--once"], "environment": dict(environment), "folder": os.getcwd()}
        become(request, streams, {"": run_and_tell}, mask=signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    os.close(write_fd)
    with open(read_fd) as telling:
        said = telling.read()
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if exit_code != 0 and environment:
        sys.stderr.write(f"the warm-up run of a child ended with {exit_code}\n")
    return from_plain(json.loads(said or "[]"))
