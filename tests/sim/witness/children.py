"""Real child processes for the tests of the sensors: watched Python, and code run as an ordinary user."""

import json
import os
import pwd
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.witness import inject

INJECT = str(Path(str(inject.__file__)).parent)
_TIMEOUT_S = 20
_NOBODY = "nobody"


def environment(*, log: Path | None = None, actor: str = "worker:w1", **more: str) -> dict[str, str]:
    """What the stack gives a child so that the sensors install themselves."""
    told = {} if log is None else {"SIM_WITNESS_LOG": str(log), "SIM_WITNESS_ACTOR": actor}
    return {"PYTHONPATH": INJECT, "PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **told, **more}


def run_python(source: str, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """A finished child that ran `source`, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "-c", source, *map(str, words)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def run_script(script: Path, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """A child that ran `script` and ended well."""
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)


def as_ordinary_user(call: Callable[[], Any]) -> Any:
    """What `call` returned (as JSON) in a forked process that is not root; as ourselves where we are not root either.

    Forked rather than started anew, because an ordinary user may not be able to read this interpreter or repository.
    """
    receiver, sender = os.pipe()
    pid = _fork()
    if pid == 0:
        status = 1
        try:
            _drop_root()
            os.write(sender, json.dumps(call()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        content = stream.read()
    _, wait_status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(wait_status) == 0, "the forked process failed"
    return json.loads(content)


def forked(call: Callable[[], object]) -> int:
    """The exit code of a process forked to run `call`."""
    pid = _fork()
    if pid == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ordinary_owner() -> tuple[int, int]:
    """Uid and gid that `as_ordinary_user` runs as."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    account = pwd.getpwnam(_NOBODY)
    return account.pw_uid, account.pw_gid


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: these children use none
        return os.fork()


def _drop_root() -> None:
    if os.geteuid() == 0:
        uid, gid = ordinary_owner()
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
