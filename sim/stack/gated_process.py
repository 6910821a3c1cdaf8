"""Installed in a worker that is an actor of a race: its connections, files and sleeps ask the director at every step.

`SIM_GATE` is JSON: `{"name": …, "home": folder}`. The socket to the director is the process's standard input, which no
worker reads; it moves to a high number, out of the worker's way. The worker's own code is as it is: only the connection
that its engine makes by default is one that parks.
"""

import fcntl
import json
import os
from pathlib import Path

from sim.schedule.connection import GateConnection
from sim.schedule.process_actor import become_actor
from worker.db.session import BoundedConnection, open_engine

GATE = "SIM_GATE"

_HIGH_DESCRIPTOR = 200


class _GatedConnection(GateConnection, BoundedConnection):
    """The worker's connection, parking before each step."""


def settings_of(name: str, home: Path) -> dict[str, str]:
    """The environment of a process that is to be the actor `name`."""
    return {GATE: json.dumps({"name": name, "home": str(home)})}


def install(told: str) -> None:
    """Effects: this process is an actor, as `told` says, until it ends."""
    wanted = json.loads(told)
    descriptor = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    open_engine.__kwdefaults__ = {**(open_engine.__kwdefaults__ or {}), "connect": _GatedConnection.connect}
    become_actor(wanted["name"], descriptor, home=Path(wanted["home"]))
