"""Runs one action per forked child, and cuts it short as asked. Started by `children.py`; speaks JSON lines.

A single-threaded process of its own does the forking, because forking a test runner with threads is undefined.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from tests.worker.writers.file_steps import FileSteps, kill_process_at
from tests.worker.writers.homes import ACTIONS
from worker.contracts.errors import StackError
from worker.readers.home import Home
from worker.writers.atomic import HomeWriteError

NOBODY = 65534
CHILD_LIMIT_S = 20


def perform(request: dict[str, Any]) -> dict[str, Any]:
    """The report of one action: its steps and how it ended."""
    drop_privileges(request["unprivileged"])
    limit_file_size(request["max_file_bytes"])
    steps = FileSteps(kill_process_at(request["kill_at"]))
    report: dict[str, Any] = {"error": None, "errno": None, "operation": None}
    with steps.installed():
        try:
            ACTIONS[request["action"]](Home(Path(request["root"])))
        except HomeWriteError as error:
            report |= {"error": error.reason.value, "errno": error.errno, "operation": error.operation}
        except StackError as error:
            report |= {"error": error.reason.value}
    return report | {"steps": [str(step) for step in steps.steps]}


def drop_privileges(wanted: bool) -> None:
    """Become nobody, if asked and if this is root: permissions do not hold root back."""
    if wanted and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def limit_file_size(max_bytes: int | None) -> None:
    if max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))


def run_forked(request: dict[str, Any]) -> dict[str, Any]:
    """The report of a child that ran `request`; a killed one reports nothing but its signal."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(CHILD_LIMIT_S)
        os.write(writer, json.dumps(perform(request)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(pid, 0)
    report: dict[str, Any] = json.loads(said) if said else {"steps": []}
    return report | {"exit": os.waitstatus_to_exitcode(status)}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run_forked(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
