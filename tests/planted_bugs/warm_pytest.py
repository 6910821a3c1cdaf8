"""A process that has imported what every run of scenarios imports, none of it ours, and forks itself for each run.

Starting Python and importing pytest, SQLAlchemy and the like took a third of a run. What is imported here must hold no
line of `worker`, `sim` or `tests`: the fork takes those from the copy that it is told.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_WARM = (
    "_pytest.junitxml",
    "alembic.command",
    "alembic.autogenerate",
    "click",
    "freezegun",
    "msgspec",
    "platformdirs",
    "psutil",
    "psycopg.types.json",
    "pytest",
    "rfc8785",
    "sqlalchemy.dialects.postgresql.psycopg",
    "testcontainers.core.container",
    "xml.etree.ElementTree",
)
_OURS = ("worker", "sim", "tests")


class WarmPytest:
    """The warm process, from the side that asks it."""

    def __init__(self) -> None:
        self._process = _started()

    def run(
        self, arguments: Sequence[str], *, root: Path, environment: Mapping[str, str], output: Path, timeout_s: float
    ) -> int:
        """The exit code of pytest run in the folder `root` with exactly this environment; it prints into `output`.

        Raises: `TimeoutError`, after which the next run has a warm process of its own, for this one would answer it
        with the exit code of the run that hung; `RuntimeError` when the warm process has gone.
        """
        request = {
            "arguments": list(arguments),
            "root": str(root),
            "environment": dict(environment),
            "output": str(output),
        }
        asking, answering = _both_ends(self._process)
        asking.write(json.dumps(request) + "\n")
        asking.flush()
        if not select.select([answering], [], [], timeout_s)[0]:
            self._kill()
            self._process = _started()
            raise TimeoutError(f"pytest in {root} was still running after {timeout_s:g} s; see {output}")
        answer = answering.readline()
        if not answer:
            raise RuntimeError(f"the warm pytest ended with exit code {self._process.wait()}; its error stands above")
        return int(answer)

    def close(self) -> None:
        """Effects: the process ends, and a run that it had forked with it."""
        asking, answering = _both_ends(self._process)
        asking.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._kill()
        answering.close()

    def _kill(self) -> None:
        """Effects: the process and the run that it forked are gone, and its pipes closed."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in _both_ends(self._process):
            with suppress(BrokenPipeError):
                stream.close()


def _started() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def _both_ends(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the warm pytest was started without pipes")
    return process.stdin, process.stdout


def _serve() -> None:
    """One fork per line of standard input, one exit code per line of standard output, until the input ends."""
    for name in _WARM:
        importlib.import_module(name)
    ours = [name for name in sys.modules if name.partition(".")[0] in _OURS]
    if ours:
        raise RuntimeError(f"expected nothing of the source in the warm process, found {', '.join(ours)}")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request: Mapping[str, object]) -> None:
    """In the fork: take on the request's folder, environment and output, run pytest, and end."""
    exit_code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(str(request["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, stream)
        environment = request["environment"]
        os.environ.clear()
        os.environ.update(environment if isinstance(environment, dict) else {})
        root = str(request["root"])
        os.chdir(root)
        sys.path.insert(0, root)
        pytest = importlib.import_module("pytest")
        exit_code = int(pytest.main(request["arguments"]))
    except BaseException:  # noqa: BLE001 - here the process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    # The folder of this file leads the path of a script, and would shadow nothing but must serve nothing either.
    sys.path.pop(0)
    _serve()
