"""A command without a namespace, where none is to be had and the caller would rather go on."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from sim.netns.exit_codes import NOT_EXECUTABLE, NOT_FOUND


def run_without(words: Sequence[str]) -> int:
    """The exit code of the command line `words`. Signals are passed on; those of a terminal reach it by themselves."""
    try:
        process = subprocess.Popen(words)
    except FileNotFoundError as error:
        print(f"sim netns: {words[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"sim netns: {words[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
