"""Starts any program so that it can open no TCP connection but to its database: `python -I -S confined.py COMMAND…`.

An audit hook is blind in a worker that is no Python, or one that calls C by itself; the kernel is not. Landlock is
taken on here, before the program replaces this process, and its children inherit it. `SIM_LANDLOCK` says what is taken
away, as in `sim/witness/inject/sitecustomize.py`. UDP is not covered. Nothing but the standard library: this runs
without the site module, so that no sensor of this interpreter is taken for one of the program.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LANDLOCK = "SIM_LANDLOCK"

_CANNOT_START = 127  # as a shell says it
_PORT_DIGITS = 5


def rights(environment: Mapping[str, str]) -> str:
    """`SIM_LANDLOCK` for a worker with this environment: what it says already, and no port but that of the database."""
    given = json.loads(environment.get(LANDLOCK) or '{"writable": ["/"]}')
    return json.dumps({**given, "connect_tcp_ports": _ports(environment)})


def prefix() -> list[str]:
    """The words before a command that start it confined."""
    return [sys.executable, "-I", "-S", "-B", str(Path(__file__).resolve())]


def main(command: Sequence[str]) -> int:
    """Does not return when the program starts, else 127. Effects: this process is restricted, then is the program."""
    wanted = json.loads(os.environ.pop(LANDLOCK))
    outcome = _landlock().restrict(writable=wanted["writable"], connect_tcp_ports=wanted["connect_tcp_ports"])
    _tell(outcome.as_json())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and a program would inherit that
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"cannot start {command[0]!r}: {error.strerror}; check --worker-command", file=sys.stderr)
    return _CANNOT_START


def _ports(environment: Mapping[str, str]) -> list[int]:
    """The database's port as this worker is told it; none where it is reached by a socket in the file system."""
    host, port = environment.get("GUI_DB_HOST", ""), environment.get("GUI_DB_PORT", "5432")
    is_port = port.isdecimal() and len(port) <= _PORT_DIGITS and 0 < int(port) < 1 << 16
    return [int(port)] if host and not host.startswith(("/", "@")) and is_port else []


def _landlock() -> Any:
    place = Path(__file__).resolve().parents[1] / "witness" / "landlock.py"
    spec = importlib.util.spec_from_file_location("sim_witness_landlock", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {place}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _tell(outcome: dict[str, Any]) -> None:
    log = os.environ.get("SIM_WITNESS_LOG")
    if not log:
        return
    actor = os.environ.get("SIM_WITNESS_ACTOR", "unknown")
    line = {"at_ns": time.time_ns(), "pid": os.getpid(), "actor": actor, "what": "landlock.restricted", **outcome}
    with open(log, "ab", buffering=0) as stream:
        stream.write(json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
