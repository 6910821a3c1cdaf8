"""Sensors and virtual time for a child process, installed by the interpreter itself before any code of the child.

The stack puts this folder first on PYTHONPATH. What is installed follows the environment:

- `SIM_WITNESS_LOG`: a file outside the home; each audit event becomes one JSON line there, by one appending write. The
  first is `sensor.installed`: a process without it is one that nobody listens to.
- `SIM_WITNESS_ACTOR`: the name put on each line.
- `SIM_CLOCK_FILE`: virtual time (see `clock_file`).
- `SIM_LANDLOCK`: JSON `{"writable": […], "connect_tcp_ports": […] or null}`; the outcome is a line of the log.
- `SIM_SERVICES`: with a log, calls of the drift service are told there (see `services`).
- `SIM_GATE`: the process is an actor of a race, driven from outside (see `sim.stack.gated_process`).
- `SIM_FILE_OPERATIONS`: file operations are counted, and the process killed at one of them (see `file_operations`).

A process forked from one that never ran this (the warm zygote) calls `install(environ)` in the child. A sensor that
cannot be installed ends the process at once: running unwatched in silence is the one thing it must not do.
"""

import fcntl
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_REFUSED_TO_START = 78  # EX_CONFIG of sysexits.h
_GATE = "sim.stack.gated_process"
_HIGH_DESCRIPTOR = 200  # out of the way of programs that expect the lowest free number

_log: "_Log | None" = None
_clock: Any = None
_hook_added = False
_inside = threading.local()
_encode = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode


class _Log:
    """An append-only file that survives a program which closes descriptors it does not know."""

    def __init__(self, path: str, actor: str) -> None:
        self.path, self._actor = path, _encode(actor)
        self._fd, self._identity = -1, (-1, -1)
        self._open()

    def append(self, line: dict[str, Any]) -> None:
        """Effects: one line with time, process and actor before `line`, by a single write."""
        at_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)  # freezegun leaves clock_gettime alone
        head = f'{{"at_ns":{at_ns},"pid":{os.getpid()},"actor":{self._actor},'
        if _clock is not None:
            head += f'"virtual_at":"{_clock().isoformat()}Z",'
        content = (head + _encode(line)[1:] + "\n").encode()
        if not self._still_ours():
            self._open()
        os.write(self._fd, content)

    def _open(self) -> None:
        low = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
        finally:
            os.close(low)
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)

    def _still_ours(self) -> bool:
        """Whether the descriptor still is the log: a closed number may be somebody else's file by now."""
        try:
            status = os.fstat(self._fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity


def install(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of what is now in force: some of `audit`, `clock`, `services`, `landlock`, `file operations`, `gate`.

    Effects: an audit hook for the rest of the process, patched civil time, restricted rights. A second call changes
    where the events go and which clock file is followed; without one, time is real again. Ends the process if a sensor
    cannot be installed.
    """
    global _log, _clock
    names = []
    try:
        if environ.get("SIM_CLOCK_FILE"):
            _clock = _sibling("clock_file").install(environ["SIM_CLOCK_FILE"])
            names.append("clock")
        elif "sim_witness_clock_file" in sys.modules:
            _sibling("clock_file").step_back()
            _clock = None
        if environ.get("SIM_WITNESS_LOG"):
            _inside.now = True  # our own opening of the log is no event
            _log = _Log(os.path.abspath(environ["SIM_WITNESS_LOG"]), environ.get("SIM_WITNESS_ACTOR", "unknown"))
            _inside.now = False
            _add_hook()
            _log.append({"what": "sensor.installed"})
            names.append("audit")
            if environ.get("SIM_SERVICES"):
                _sibling("services").install(environ["SIM_SERVICES"], _log.append)
                names.append("services")
        if environ.get("SIM_LANDLOCK"):
            _restrict(json.loads(environ["SIM_LANDLOCK"]))
            names.append("landlock")
        if environ.get("SIM_FILE_OPERATIONS"):
            # Last, so that what the other sensors write is not counted.
            _sibling("file_operations").install(environ["SIM_FILE_OPERATIONS"])
            names.append("file operations")
        if environ.get("SIM_GATE"):
            importlib.import_module(_GATE).install(environ["SIM_GATE"])
            names.append("gate")
    except Exception as problem:  # noqa: BLE001 - the process ends here; site would only print it and go on
        _refuse(problem)
    return tuple(names)


def preload(*, virtual_time: bool) -> None:
    """Effects: what `install` would import is there already; for a process whose children call it.

    With `virtual_time` civil time is patched already too, and the process itself goes on showing real time; a child
    that follows no clock file then undoes the patch. Without it a child that follows one patches for itself.
    """
    importlib.import_module(_GATE)
    if virtual_time:
        _sibling("clock_file").prepare()
    _sibling("events")
    _sibling("landlock", os.path.dirname(_FOLDER))
    _sibling("file_operations")
    _sibling("services")


def _restrict(rights: dict[str, Any]) -> None:
    landlock = _sibling("landlock", os.path.dirname(_FOLDER))
    outcome = landlock.restrict(writable=rights["writable"], connect_tcp_ports=rights.get("connect_tcp_ports"))
    if _log is not None:
        _log.append({"what": "landlock.restricted", **outcome.as_json()})
    elif not outcome.enforced:
        sys.stderr.write(f"sim witness: landlock is not in force: {outcome.reason}\n")


def _add_hook() -> None:
    global _hook_added
    if _hook_added:
        return
    events = _sibling("events")
    watched, describe, source_line = events.WATCHED, events.describe, events.source_line

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in watched or _log is None or getattr(_inside, "now", False):
            return
        _inside.now = True
        try:
            found = describe(event, args)
            if found is not None:
                found["source"] = source_line(sys._getframe(1))
                _log.append(found)
        finally:
            _inside.now = False

    sys.addaudithook(hook)
    _hook_added = True


def _sibling(name: str, folder: str = _FOLDER) -> Any:
    """A module of this harness, loaded by path: the child's own import path stays as it was."""
    full_name = f"sim_witness_{name}"
    if full_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(full_name, os.path.join(folder, f"{name}.py"))
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load {name} from {folder}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[full_name] = module
        spec.loader.exec_module(module)
    return sys.modules[full_name]


def _refuse(problem: Exception) -> None:
    sys.stderr.write(f"sim witness: a sensor could not be installed, so the process was ended: {problem}\n")
    sys.stderr.flush()
    os._exit(_REFUSED_TO_START)


def _chain() -> ModuleType | None:
    """The sitecustomize that this one hides, run as the interpreter would have run it."""
    others = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _FOLDER]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _step_back() -> None:
    """Effects: this folder is looked into after the child's own, so that its names hide none of the child's modules.

    It stays ahead of the standard library: distributions keep a sitecustomize there, which a child of the child would
    else find first when it is handed this path.
    """
    ours = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) == _FOLDER]
    others = [entry for entry in sys.path if entry not in ours]
    library = os.path.dirname(os.__file__)
    place = others.index(library) if library in others else len(others)
    sys.path[:] = [*others[:place], *ours[:1], *others[place:]]


if __name__ == "sitecustomize":
    install(os.environ)
    chained = _chain()
    _step_back()
