"""`logs/command_worker.pid`: which process served this home last. Diagnostic only. Source: contract §2."""

import os

from worker.readers.home import Home


def write_pid_file(home: Home) -> str | None:
    """Why the pid file could not be written, or None when it was.

    A home that cannot take it is no reason not to run: the file decides nothing, and may be left behind.
    """
    path = home.worker_pid
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        return f"cannot write {path} ({error.strerror})"
    return None
