"""The child's side of the warm process: it waits for its request ahead of it, then becomes what the request says.

A child that waits is no process of a scenario: it has a session of its own, the warm process's folder, environment and
streams, and no other descriptor but the channel its request comes on. It ends when the warm process does.
"""

import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sim.stack.touched_pages import PageRange, touch

SENSORS = "sim.witness.inject.sitecustomize"
MAX_REQUEST_BYTES = 262_144
STREAMS = 3
"""Standard input, output and error: the descriptors that come with a request."""

_NOT_STARTED = 70  # EX_SOFTWARE of sysexits.h: the stage failed before `main` was entered

Main = Callable[[list[str]], object]


def stand_by(channel: socket.socket, mains: Mapping[str, Main], pages: Sequence[PageRange]) -> None:
    """In the child: get ready, wait for the request on `channel`, and become it. Never returns."""
    try:
        # A session of its own: whatever the child leaves behind can be told by it.
        os.setsid()
        # An interrupt that comes on the heels of the request is the program's to answer, not the wait's.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        touch(pages)
        message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, STREAMS)
        channel.close()
        if not message:
            os._exit(0)
        request = json.loads(message)
    except BaseException:  # noqa: BLE001 - here the process ends
        traceback.print_exc()
        os._exit(_NOT_STARTED)
    become(request, descriptors, mains, mask=mask)


def become(
    request: Mapping[str, Any],
    descriptors: Sequence[int],
    mains: Mapping[str, Main],
    *,
    mask: Collection[int],
) -> None:
    """In the child: take on the request's streams, environment and folder, run its `main`, and end as Python would.

    `mask` are the signals that were blocked before the wait. Never returns.
    """
    exit_code = _NOT_STARTED
    try:
        for stream in range(STREAMS):
            os.dup2(descriptors[stream], stream)
        for descriptor in descriptors:
            os.close(descriptor)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        importlib.import_module(SENSORS).install(os.environ)
        main = mains[request["module"]]
        exit_code = 1
        exit_code = _told(main(request["argv"]))
    except SystemExit as stopped:
        exit_code = _told(stopped.code)
    except KeyboardInterrupt:
        traceback.print_exc()
        exit_code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - here the process ends
        traceback.print_exc()
    finally:
        _end(exit_code)


def _end(exit_code: int) -> None:
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    if exit_code < 0:
        signal.signal(-exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -exit_code)
    os._exit(exit_code)


def _told(code: object) -> int:
    """What `sys.exit(code)` makes the exit code; words go to standard error."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
