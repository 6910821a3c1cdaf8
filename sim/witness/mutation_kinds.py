"""Thirteen ways to change a bot's home, most of which put everything back: what the sensors are proven on.

`python mutation_kinds.py KIND HOME [OUTSIDE_LINK]` does one of them as a process of its own; `read_everything` is the
clean twin, which looks at all files and changes none. Standard library only: it runs with nothing installed.
Source: measurements §5.
"""

import mmap
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_TARGET = "live_portfolio.json"
_LINKED = ".env"
_TIMEOUT_S = 10


def prepare(home: Path, outside: Path) -> None:
    """Effects: a small home at `home`, one of whose files has a second name in `outside`."""
    (home / "state").mkdir(parents=True)
    (home / "logs").mkdir()
    (home / _TARGET).write_bytes(b'{"cash_usdt": "1000.00"}\n')
    (home / ".env").write_bytes(b"BINANCE_TESTNET=true\n")
    (home / "state" / "managed_state.json").write_bytes(b'{"assets": {}}\n')
    (home / "current").symlink_to("state")
    os.link(home / _LINKED, outside / "second_name")


def overwrite_and_restore(home: Path, outside: Path) -> None:
    content = (home / _TARGET).read_bytes()
    _write(home / _TARGET, b"X" * len(content))
    _write(home / _TARGET, content)


def append_and_keep(home: Path, outside: Path) -> None:
    with (home / _TARGET).open("ab") as stream:
        stream.write(b" ")


def truncate_and_restore(home: Path, outside: Path) -> None:
    content = (home / _TARGET).read_bytes()
    os.truncate(home / _TARGET, 3)
    _write(home / _TARGET, content)


def map_and_restore(home: Path, outside: Path) -> None:
    _map(home / _TARGET, restore=True)


def map_and_keep(home: Path, outside: Path) -> None:
    _map(home / _TARGET, restore=False)


def rename_over_same_content(home: Path, outside: Path) -> None:
    temporary = home / ".live_portfolio.json.new"
    temporary.write_bytes((home / _TARGET).read_bytes())
    temporary.replace(home / _TARGET)


def restore_times_too(home: Path, outside: Path) -> None:
    status = (home / _TARGET).stat()
    overwrite_and_restore(home, outside)
    os.utime(home / _TARGET, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_mode_and_back(home: Path, outside: Path) -> None:
    mode = (home / _TARGET).stat().st_mode
    (home / _TARGET).chmod(0o600 if mode & 0o044 else 0o644)
    (home / _TARGET).chmod(mode & 0o7777)


def create_and_delete(home: Path, outside: Path) -> None:
    (home / "runtime_config.json").write_bytes(b"{}")
    (home / "runtime_config.json").unlink()


def rename_folder_and_back(home: Path, outside: Path) -> None:
    (home / "state").rename(home / "state_away")
    (home / "state_away").rename(home / "state")


def write_through_outside_hard_link(home: Path, outside: Path) -> None:
    second_name = outside / "second_name"
    content = second_name.read_bytes()
    _write(second_name, b"X" * len(content))
    _write(second_name, content)


def non_python_child(home: Path, outside: Path) -> None:
    quoted = shlex.quote(str(home / _TARGET))
    script = f'kept="$(cat {quoted})"; printf X >{quoted}; printf "%s\\n" "$kept" >{quoted}'
    subprocess.run(["/bin/sh", "-c", script], check=True, timeout=_TIMEOUT_S)


def retarget_symlink_and_back(home: Path, outside: Path) -> None:
    for target in ("logs", "state"):
        (home / "current").unlink()
        (home / "current").symlink_to(target)


def read_everything(home: Path, outside: Path) -> None:
    for path in sorted(home.rglob("*")):
        if path.is_file():
            path.read_bytes()
    (home / "current").readlink()


Mutate = Callable[[Path, Path], None]

KINDS: dict[str, Mutate] = {
    kind.__name__: kind
    for kind in (
        overwrite_and_restore,
        append_and_keep,
        truncate_and_restore,
        map_and_restore,
        map_and_keep,
        rename_over_same_content,
        restore_times_too,
        change_mode_and_back,
        create_and_delete,
        rename_folder_and_back,
        write_through_outside_hard_link,
        non_python_child,
        retarget_symlink_and_back,
    )
}

#: The one relative path that each kind is bound to be reported under.
BETRAYED_BY = dict.fromkeys(KINDS, _TARGET) | {
    "create_and_delete": "runtime_config.json",
    "rename_folder_and_back": "state",
    "write_through_outside_hard_link": _LINKED,
    "retarget_symlink_and_back": "current",
}


def _write(path: Path, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.write(content)
        stream.truncate()


def _map(path: Path, *, restore: bool) -> None:
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
        content = bytes(view)
        view[:] = b"X" * len(content)
        view.flush()
        if restore:
            view[:] = content


if __name__ == "__main__":
    _kinds = KINDS | {"read_everything": read_everything}
    _kinds[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
