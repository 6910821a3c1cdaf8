"""What one `sys.audit` event means to the witness: a plain mapping, or None where it does not matter.

Used by the hook of our own process (`sim.witness.audit`) and by the one in a child (`sitecustomize`). It imports
nothing but what every interpreter has loaded anyway, because a child pays for it at each start.

Limits, known and covered by other sensors: C code that calls the kernel itself (libpq, uvloop, ctypes), children
that are not Python, and another name of the same file (a hard link from outside).
"""

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_MAX_FRAMES = 40  # deeper than any of our call chains; a bound, not a tuning knob
_MAX_WORDS, _MAX_WORD = 8, 80  # enough of a command line to recognise `python -m worker.command_worker`

Described = dict[str, Any]


def describe(event: str, args: tuple[Any, ...]) -> Described | None:
    """The event as `{"what": …, "path": …, …}`, or None where it changes nothing and reaches nobody.

    It never raises for odd arguments: an exception in an audit hook would change the program under watch.
    """
    interpret = _INTERPRETERS.get(event)
    if interpret is None:
        return None
    try:
        return interpret(args)
    except (OSError, TypeError, ValueError, IndexError) as problem:
        return {"what": event, "problem": type(problem).__name__}


def source_line(frame: FrameType | None) -> str | None:
    """`file:line` of the nearest code that is neither the standard library, a package, nor this sensor."""
    nearest = None
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        filename = frame.f_code.co_filename
        if not filename.startswith("<frozen "):
            nearest = nearest or frame
            if not filename.startswith((_STANDARD_LIBRARY, _HERE)) and "site-packages" not in filename:
                return f"{filename}:{frame.f_lineno}"
        frame = frame.f_back
    return f"{nearest.f_code.co_filename}:{nearest.f_lineno}" if nearest is not None else None


def announce_thread_starts() -> None:
    """Effects: Python 3.11, which raises no event where a thread starts, raises the one of later versions."""
    if sys.version_info >= (3, 12):
        return
    import _thread
    import threading

    start = _thread.start_new_thread

    def start_new_thread(function: Any, args: Any, kwargs: Any = None) -> int:
        sys.audit("_thread.start_new_thread", function, args, kwargs)
        return start(function, args) if kwargs is None else start(function, args, kwargs)

    _thread.start_new_thread = _thread.start_new = start_new_thread
    # Its own name for it, taken when it was imported.
    threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]


def _absolute(path: Any, folder_fd: Any = -1) -> str | None:
    """The absolute path of `path`, which may be text, bytes, a PathLike or an open descriptor."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}") if sys.platform == "linux" else None
    text = os.fsdecode(path)
    if os.path.isabs(text):
        return os.path.normpath(text)
    inside = isinstance(folder_fd, int) and folder_fd >= 0 and sys.platform == "linux"
    folder = os.readlink(f"/proc/self/fd/{folder_fd}") if inside else os.getcwd()
    return os.path.normpath(os.path.join(folder, text))


def _opened(args: tuple[Any, ...]) -> Described | None:
    path, mode, flags = args
    # A descriptor was reported when it was opened; `/dev/null` and its kind are nobody's file.
    if isinstance(path, int) or not isinstance(flags, int) or not flags & _WRITING:
        return None
    place = _absolute(path)
    if place is None or (place.startswith("/dev/") and not place.startswith("/dev/shm/")):
        return None
    return {"what": "file.open", "path": place, "exclusive": bool(flags & os.O_EXCL), "mode": mode}


def _one_path(what: str, folder_position: int | None) -> Callable[[tuple[Any, ...]], Described]:
    def interpret(args: tuple[Any, ...]) -> Described:
        folder = args[folder_position] if folder_position is not None else -1
        return {"what": what, "path": _absolute(args[0], folder)}

    return interpret


def _two_paths(what: str) -> Callable[[tuple[Any, ...]], Described]:
    def interpret(args: tuple[Any, ...]) -> Described:
        return {"what": what, "path": _absolute(args[0], args[2]), "to": _absolute(args[1], args[3])}

    return interpret


def _symlinked(args: tuple[Any, ...]) -> Described:
    return {"what": "file.symlink", "path": _absolute(args[1], args[2]), "target": os.fsdecode(args[0])}


def _connected(what: str) -> Callable[[tuple[Any, ...]], Described]:
    def interpret(args: tuple[Any, ...]) -> Described:
        address = args[1]
        if isinstance(address, tuple):
            return {"what": what, "host": str(address[0]), "port": address[1]}
        return {"what": what, "host": os.fsdecode(address) if address is not None else "", "port": None}

    return interpret


def _resolved(args: tuple[Any, ...]) -> Described:
    host = args[0]
    text = "" if host is None else host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    port = args[1] if len(args) > 1 else None
    return {"what": "network.resolve", "host": text, "port": port if isinstance(port, int) else None}


def _started(words_position: int) -> Callable[[tuple[Any, ...]], Described]:
    def interpret(args: tuple[Any, ...]) -> Described:
        given = args[words_position]
        words = [given] if isinstance(given, (str, bytes, os.PathLike)) else list(given)
        shown = [_word(os.fsdecode(word)) for word in words[:_MAX_WORDS]]
        return {"what": "process.start", "path": os.fsdecode(args[0]), "words": shown}

    return interpret


def _forked(args: tuple[Any, ...]) -> Described:
    return {"what": "process.fork"}


def _thread_started(args: tuple[Any, ...]) -> Described:
    runs = getattr(thread_of(args), "name", None) or getattr(args[0], "__qualname__", None) or type(args[0]).__name__
    return {"what": "thread.start", "runs": str(runs)}


def thread_of(args: tuple[Any, ...]) -> Any:
    """The `threading.Thread` that an event of `THREAD_STARTS` is about, None for a start by the bare `_thread`."""
    started = getattr(args[0], "__self__", None)  # its first argument is the bound method that the thread begins with
    return started if hasattr(started, "_bootstrap") else None


def _word(word: str) -> str:
    """One word of a command line, shortened, and never one that may hold a password or an address with one."""
    lowered = word.lower()
    secret = "://" in word or any(mark in lowered for mark in ("password", "secret", "token", "key="))
    return "…" if secret else word[:_MAX_WORD]


_INTERPRETERS: dict[str, Callable[[tuple[Any, ...]], Described | None]] = {
    "open": _opened,
    "os.rename": _two_paths("file.rename"),  # os.replace raises the same event
    "os.link": _two_paths("file.link"),
    "os.symlink": _symlinked,
    "os.remove": _one_path("file.unlink", 1),
    "os.mkdir": _one_path("file.mkdir", 2),
    "os.rmdir": _one_path("file.rmdir", 1),
    "os.truncate": _one_path("file.truncate", None),
    "os.chmod": _one_path("file.chmod", 2),
    "os.chown": _one_path("file.chown", 3),
    "os.utime": _one_path("file.utime", 3),
    "os.setxattr": _one_path("file.xattr", None),
    "os.removexattr": _one_path("file.xattr", None),
    "socket.connect": _connected("network.connect"),
    "socket.sendto": _connected("network.send"),
    "socket.sendmsg": _connected("network.send"),
    "socket.getaddrinfo": _resolved,
    "socket.gethostbyname": _resolved,
    "subprocess.Popen": _started(1),
    "os.exec": _started(1),
    "os.posix_spawn": _started(1),
    "os.system": _started(0),
    "os.fork": _forked,
    "os.forkpty": _forked,
    "_thread.start_new_thread": _thread_started,
    "_thread.start_joinable_thread": _thread_started,  # Python 3.13 and later
}

#: Raised in the thread that starts another one.
THREAD_STARTS = frozenset({"_thread.start_new_thread", "_thread.start_joinable_thread"})

#: The events that `describe` has anything to say about: the cheap test, made first.
WATCHED = frozenset(_INTERPRETERS)
