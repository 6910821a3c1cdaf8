"""`logs/command_worker.pid`: which process served this home last. Diagnostic only. Source: contract §2."""

import os

from worker.readers.home import Home
from worker.writers.atomic import FILE_MODE

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_pid_file(home: Home) -> str | None:
    """Why the pid file could not be written, or None when it was.

    A home that cannot take it is no reason not to run: the file decides nothing, and may be left behind.
    """
    path = home.worker_pid
    line = b"%d\n" % os.getpid()
    try:
        path.parent.mkdir(exist_ok=True)
        # Through a link it would be written elsewhere, and a named pipe without a reader would hold the start.
        descriptor = os.open(path, _FLAGS, FILE_MODE)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"cannot write {path} ({error.strerror})"
    return None
