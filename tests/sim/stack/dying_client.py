"""A client of the warm process, to be killed: tells the pids of the warm process and of its idle worker, then waits.

Its environment is the worker's.
"""

import json
import os
import signal
from pathlib import Path

from sim.stack.zygote import Zygote


def main() -> None:
    """Effects: one line of JSON on standard output; the process then waits for its end."""
    environment = dict(os.environ)
    zygote = Zygote(warm_up=environment)
    with open(os.devnull, "r+b") as nothing:
        streams = (nothing.fileno(), nothing.fileno(), nothing.fileno())
        folder = Path(environment["BOT_HOME"])
        forked = zygote.fork("worker.command_worker", [], environment=environment, folder=folder, streams=streams)
    print(json.dumps([zygote.pid, forked.pid]), flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
