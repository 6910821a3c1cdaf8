"""A process that keeps folders as its first argument says, and dies or stands still where a test wants it to."""

import os
import select
import signal
import sys
from pathlib import Path

from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import reachable
from sim.postgres.embedded import EmbeddedServer
from sim.postgres.kept_folders import KeptFolders
from sim.postgres.run_folder import RunFolder, open_run
from sim.postgres.template import TemplateSource

MAX_LIFE_S = 60
ROUNDS = 60
FILES = [f"file-{number}" for number in range(8)]


def fill(folder: Path) -> None:
    """What every kept folder of these tests holds."""
    for name in FILES:
        (folder / name).write_text(name)


def is_whole(folder: Path) -> bool:
    return all((folder / name).read_text() == name for name in FILES)


def tell_and_wait(told: str) -> None:
    print(told, flush=True)
    select.select([sys.stdin], [], [], MAX_LIFE_S)


def die_at_removal(number: int) -> None:
    """Effects: this process kills itself just before it removes its `number`-th file or folder."""
    removals = iter(range(1, number))

    def count(event: str, _: object) -> None:
        if event in ("os.remove", "os.rmdir") and next(removals, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def hold(root: Path, name: str) -> None:
    with KeptFolders(root=root, max_kept=1).hold(name, fill) as held:
        tell_and_wait(str(held.path))


def make_slowly(root: Path, name: str) -> None:
    def make(folder: Path) -> None:
        fill(folder)
        tell_and_wait(str(folder))

    KeptFolders(root=root, max_kept=1).hold(name, make).release()
    print("kept", flush=True)


def die_while_forgetting(root: Path, name: str) -> None:
    die_at_removal(3)
    KeptFolders(root=root, max_kept=1).hold(name, fill).release()


def hold_one_after_the_other(root: Path, first: str) -> None:
    store = KeptFolders(root=root, max_kept=1)
    for number in range(int(first), int(first) + ROUNDS):
        with store.hold(f"name-{number % 3}", fill) as held:
            if not is_whole(held.path):
                raise AssertionError(f"{held.path} is not whole")
    print("whole", flush=True)


def open_a_run(root: Path, _: str) -> None:
    run = open_run(root)
    tell_and_wait(f"{run.path.name} {len(run.cleaned)}")
    run.close()


def die_while_closing(root: Path, number: str) -> None:
    run = open_run(root)
    fill(run.new_folder("server"))
    die_at_removal(int(number))
    run.close()


def close_slowly(root: Path, _: str) -> None:
    run = open_run(root)
    fill(run.new_folder("server"))
    told = iter(["removes"])

    def wait_once(event: str, _: object) -> None:
        if event == "os.remove":
            for first in told:
                tell_and_wait(first)

    sys.addaudithook(wait_once)
    run.close()
    print("closed", flush=True)


def use_binaries(root: Path, name: str) -> None:
    origin = root / f"closed-{name}" / "package" / "install" / "bin"
    origin.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (origin / program).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.0'\n")
        (origin / program).chmod(0o755)
    (root / f"closed-{name}").chmod(0o700)
    tell_and_wait(str(reachable(origin, server_account(), roots=(root,)).bin_dir))


class DawdlingRun(RunFolder):
    """A run that stands still between finding its kept data folders and copying them."""

    def new_folder(self, name: str) -> Path:
        tell_and_wait(name)
        return super().new_folder(name)


def start_slowly(root: Path, key: str) -> None:
    run = open_run(root)
    dawdling = DawdlingRun(path=run.path, run_id=run.run_id, account=run.account)
    server = EmbeddedServer().start(dawdling, TemplateSource(key=key, build=empty))
    tell_and_wait("serves")
    server.stop()
    run.close()


def empty(_: DatabaseAddress) -> None:
    """A template without tables."""


ACTIONS = (
    hold,
    make_slowly,
    die_while_forgetting,
    hold_one_after_the_other,
    open_a_run,
    die_while_closing,
    close_slowly,
    use_binaries,
    start_slowly,
)

if __name__ == "__main__":
    {action.__name__: action for action in ACTIONS}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
