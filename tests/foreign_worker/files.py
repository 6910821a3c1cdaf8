"""The bot's home: its lock, the two files that change together, the snapshot, the pid file."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.foreign_worker.canonical import Transient
from tests.foreign_worker.documents import (
    encode,
    read_baseline,
    read_bytes,
    read_intent,
    read_managed,
    read_object,
    sha256,
)

LOCK_TRIES = 50
LOCK_PAUSE_S = 0.1
TEMP_SUFFIX = ".worker-tmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both files as read: their JSON objects (None = no file), their sha256 or `absent`, their common generation."""

    baseline: Mapping[str, Any] | None
    managed: Mapping[str, Any] | None
    baseline_sha256: str
    managed_sha256: str
    generation: int


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """The lock of the home, an old intent finished first.

    Raises: `Transient` (`conflict/home_locked`, `io/…`).
    """
    with _naming("open the lock in", home / "state"):
        _make_folder(home / "state")
    descriptor = _locked(home / "state" / ".lock")
    try:
        with suppress(OSError):  # the pid is for people; a full disk must not cost the lock
            os.ftruncate(descriptor, os.pwrite(descriptor, b"%d\n" % os.getpid(), 0))
        _finish_intent(home)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def read_pair(home: Path) -> Pair:
    """Both files; call it under the lock.

    Raises: `Transient` (`io/damaged_file`, `io/two_file_conflict`).
    """
    state = home / "state"
    contents = [read_bytes(path) for path in (state / "baseline_holdings.json", state / "managed_state.json")]
    baseline = None if contents[0] is None else read_baseline(contents[0])
    managed = None if contents[1] is None else read_managed(contents[1])
    generations = [document["generation"] if document else 0 for document in (baseline, managed)]
    if generations[0] != generations[1]:
        raise Transient("io/two_file_conflict", f"generations {generations} do not belong together; restore one backup")
    return Pair(
        baseline=baseline,
        managed=managed,
        baseline_sha256=sha256(contents[0]),
        managed_sha256=sha256(contents[1]),
        generation=generations[0],
    )


def change_both(home: Path, before: Pair, documents: tuple[Any, Any], *, command_id: UUID, attempt: int) -> Pair:
    """Both files with new content, together; the new pair. Call it under the lock with the pair read under it.

    Raises: `Transient` (`io/home_not_writable`).
    """
    state, owner = home / "state", f"{command_id}-{attempt}"
    intent = {
        "schema_version": 1,
        "command_id": str(command_id),
        "attempt": attempt,
        "generation": before.generation + 1,
        "baseline_holdings": {"before": before.baseline_sha256, "after": encode(documents[0]).decode()},
        "managed_state": {"before": before.managed_sha256, "after": encode(documents[1]).decode()},
    }
    targets = [state / "baseline_holdings.json", state / "managed_state.json", state / ".intent.json"]
    temps = [_temp(target, owner) for target in targets]
    with _naming("change both files in", state):
        try:
            for temp, document in zip(temps, (*documents, intent), strict=True):
                _write_new(temp, encode(document))
            os.replace(temps[2], targets[2])
        except BaseException:
            for temp in temps:
                with suppress(OSError):
                    os.unlink(temp)
            raise
        _sync(state)
        _put_in_place(state, list(zip(temps[:2], targets[:2], strict=True)))
    return read_pair(home)


def write_snapshot(home: Path, document: Mapping[str, Any], *, owner: str) -> None:
    """`state/audit_snapshots/<command_id>.json`, unless it is there already: the first one stands."""
    folder = home / "state" / "audit_snapshots"
    path = folder / f"{document['command_id']}.json"
    with _naming("write", path):
        _make_folder(folder)
        if not os.path.lexists(path):
            temp = _temp(path, owner)
            _write_new(temp, encode(document))
            with suppress(FileExistsError):  # a link, unlike a rename, refuses a name that is taken
                os.link(temp, path)
            os.unlink(temp)
        _sync(folder)


def intent_owner(home: Path) -> str | None:
    """The command id in the intent that stands, or None when none stands or it cannot be read."""
    with suppress(Transient):
        content = read_bytes(home / "state" / ".intent.json")
        return None if content is None else str(read_object(content, ".intent.json").get("command_id"))
    return None


def may_be_on_disk(home: Path, command_id: str) -> bool:
    """True when the intent is the command's; where none can be read, when either file by itself names the command."""
    owner = intent_owner(home)
    if owner is not None:
        return owner == command_id
    for name, entries in (("baseline_holdings.json", "holdings"), ("managed_state.json", "assets")):
        with suppress(Transient, AttributeError):
            content = read_bytes(home / "state" / name)
            found = {} if content is None else read_object(content, name)
            owners = [found, *found.get(entries, {}).values()]
            if any(entry.get("command_id") == command_id for entry in owners):
                return True
    return False


def write_pid_file(home: Path) -> str | None:
    """Why the pid file could not be written, or None. It decides nothing, so nothing stops for it."""
    try:
        (home / "logs").mkdir(exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(home / "logs" / "command_worker.pid", flags, 0o644)
        try:
            os.ftruncate(descriptor, os.write(descriptor, b"%d\n" % os.getpid()))
        finally:
            os.close(descriptor)
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    return None


def _locked(path: Path) -> int:
    """The descriptor that holds the lock; a lock on a file that was deleted meanwhile does not count."""
    for attempt in range(LOCK_TRIES):
        if attempt:
            threading.Event().wait(LOCK_PAUSE_S)
        with _naming("lock", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(descriptor)
    raise Transient("conflict/home_locked", f"{path} was held by another process for {LOCK_TRIES} tries")


def _finish_intent(home: Path) -> None:
    """Finish the change that a dead attempt left, and remove its temporary files; we alone hold the lock."""
    state = home / "state"
    content = read_bytes(state / ".intent.json")
    if content is not None:
        with _naming("finish the change of both files in", state):
            _roll_forward(state, content)
    with _naming("clean", state):
        for folder in (state, state / "risk_proposals", state / "audit_snapshots"):
            names = os.listdir(folder) if folder.is_dir() else []
            for name in names:
                if name.startswith(".") and name.endswith(TEMP_SUFFIX):
                    os.unlink(folder / name)


def _roll_forward(state: Path, content: bytes) -> None:
    try:
        intent = read_intent(content)
    except Transient as damaged:
        raise Transient("io/two_file_conflict", f"{damaged.message}; nothing was touched") from damaged
    moves = []
    for name in ("baseline_holdings", "managed_state"):
        target, after = state / f"{name}.json", intent[name]["after"].encode()
        found = sha256(read_bytes(target))
        if found not in (intent[name]["before"], sha256(after)):
            raise Transient("io/two_file_conflict", f"{target} is neither old nor new; nothing was touched")
        if found != sha256(after):
            moves.append((_temp(target, f"{intent['command_id']}-{intent['attempt']}"), target, after))
    _sync(state)
    for temp, _, after in moves:
        if read_bytes(temp) != after:
            with suppress(FileNotFoundError):
                os.unlink(temp)
            _write_new(temp, after)
        else:
            _sync(temp)
    _put_in_place(state, [(temp, target) for temp, target, _ in moves])


def _put_in_place(state: Path, moves: list[tuple[Path, Path]]) -> None:
    """Rename, make it durable, and only then take the intent away."""
    for temp, target in moves:
        os.replace(temp, target)
    _sync(state)
    os.unlink(state / ".intent.json")
    _sync(state)


def _temp(target: Path, owner: str) -> Path:
    return target.with_name(f".{target.name.lstrip('.')}.{owner}{TEMP_SUFFIX}")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(exist_ok=True)
    _sync(path.parent)


@contextmanager
def _naming(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Transient("io/home_not_writable", f"cannot {action} {path}: {error.strerror}") from error
