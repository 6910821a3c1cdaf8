"""`sim netns` itself, outside the namespace: starts it, passes signals on, and ends as the command did."""

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from sim.netns import kernel, lookups, namespace
from sim.netns.exit_codes import BROKEN, of_status
from sim.netns.first_process import ControlFailed, FirstProcess
from sim.netns.namespace import SetUpError
from sim.netns.remedies import remedy

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_BY_THE_KERNEL = 0x80  # si_code of a signal that a terminal sent; linux/signal.h calls it SI_KERNEL
_PROMISED = 4096  # bytes that a pipe takes at once


class Unavailable(Exception):
    """No namespace is to be had here; the message says why, and what to do."""


def run(words: Sequence[str], report: TextIO | None) -> int:
    """The exit code of the command line `words`, run in a namespace of its own, or `ATTEMPTED`, or `BROKEN`.

    Effects: attempts are told on standard error, and one line of JSON each in `report`. Raises: `Unavailable`, and then
    nothing was run.
    """
    if sys.platform != "linux":
        raise Unavailable(f"network namespaces are of Linux, and this is {sys.platform}; run it on Linux")
    waited_for = {*_PASSED_ON, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    problem_read, problem_write = os.pipe2(os.O_CLOEXEC)
    orders_read, orders_write = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(problem_read)
        os.close(orders_write)
        _middle(words, report, problem_write, orders_read, {signal.Signals(number) for number in mask})
    os.close(problem_write)
    os.close(orders_read)
    try:
        with open(problem_read, encoding="utf-8") as problem:
            told = problem.read()
        code = _attend(child, orders_write, waited_for)
    finally:
        os.close(orders_write)
        while signal.sigtimedwait(waited_for, 0):
            pass  # what came too late for the command is not for us
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if told:
        _raise(json.loads(told))
    return code


def _attend(child: int, orders: int, waited_for: set[signal.Signals]) -> int:
    """The exit code of the child. Effects: signals that were sent to us alone are passed on.

    A terminal sends its own to all of its foreground processes: those are not passed on, or they would come twice.
    """
    while True:
        told = signal.sigwaitinfo(waited_for)
        if told.si_signo != signal.SIGCHLD:
            if told.si_code != _BY_THE_KERNEL:
                with suppress(BrokenPipeError):  # the command has ended, and we shall hear so
                    os.write(orders, bytes([told.si_signo]))
            continue
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return of_status(status)


def _raise(told: dict[str, Any]) -> NoReturn:
    if "control" in told:
        raise ControlFailed(str(told["control"]))
    error = OSError(told["number"], told["text"])
    raise Unavailable(f"{told['step']}: {error.strerror}; {remedy(error, os.geteuid(), Path('/proc/sys'))}")


def _middle(
    words: Sequence[str], report: TextIO | None, problem: int, orders: int, mask: set[signal.Signals]
) -> NoReturn:
    """The process that makes the namespaces and waits: the first process of new pids must be somebody's child."""
    code = BROKEN
    try:
        namespace.enter()
        world = namespace.make_world()
        first = os.fork()
        if first:
            os.close(problem)
            os.close(orders)
            world.close()
            status = os.waitpid(first, 0)[1]
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else BROKEN
            if os.WIFSIGNALED(status):
                print(
                    f"sim netns: the trip-wire was ended by signal {os.WTERMSIG(status)}", file=sys.stderr, flush=True
                )
        else:
            code = _first(words, report, world=world, problem=problem, orders=orders, mask=mask)
    except SetUpError as error:
        os.write(
            problem, json.dumps({"step": error.step, "number": error.number, "text": error.text}).encode()[:_PROMISED]
        )
    except ControlFailed as error:
        os.write(problem, json.dumps({"control": str(error)}).encode()[:_PROMISED])
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _first(
    words: Sequence[str],
    report: TextIO | None,
    *,
    world: socket.socket,
    problem: int,
    orders: int,
    mask: set[signal.Signals],
) -> int:
    """The exit code of the first process of the namespace, in which this is."""
    with namespace.step("end with our parent"):
        kernel.end_with_parent(signal.SIGKILL)
    with namespace.step("look up names within"):
        lookups.redirect_lookups_and_mount_proc()
    first = FirstProcess(world, orders, mask)
    first.prove_itself()
    os.close(problem)
    return first.run(words, report)
