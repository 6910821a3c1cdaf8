"""Inside the namespace: plays every attempt, each with its layers in force, one knocked out, one alone, and none.

`python -m sim.guard_matrix.player FOLDER ROWS NAMED` plays with the databases that stand in `databases.json` there.
Each play is a forked process with a home of its own; all are told in `plays.jsonl` there.
"""

import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from sim.errors import SimError
from sim.guard.refusal import Layer, keep_record_in
from sim.guard_matrix.attempt import Attempt, Stage
from sim.guard_matrix.certificates import AUTHORITY_FILE, write_certificates
from sim.guard_matrix.knock_out import put_in_force
from sim.guard_matrix.rows import attempts
from sim.guard_matrix.servers import Servers, note, running_servers
from sim.guard_matrix.untouched import HomeWatch
from sim.postgres.address import DatabaseAddress
from sim.stack.home import make_home
from worker.bus.load_all import load_all
from worker.handlers.registry import HANDLERS

PLAYS = "plays.jsonl"
DATABASES = "databases.json"
"""The two databases: as migrated, and without its own guard."""
MAX_PLAY_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One attempt with `in_force` and nothing else: when and as which process, what was recorded, how it ended.

    `recorded` are the layers that put a refusal on record, in order. `ended` is empty for one that nothing stopped.
    `arrived` are the sentences of those who saw on this machine that it had come about; `mutated` what it changed in
    the home, None for one that did not live to tell.
    """

    attempt: str
    in_force: tuple[str, ...]
    pid: int
    began_ns: int
    ended_ns: int
    recorded: tuple[str, ...]
    ended: str
    arrived: tuple[str, ...] = ()
    mutated: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Theatre:
    """What all plays share: the folder, the servers and the databases."""

    folder: Path
    servers: Servers
    guarded: DatabaseAddress
    careless: DatabaseAddress

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def arrivals(self) -> Path:
        return self.folder / "arrivals.txt"

    @property
    def told(self) -> Path:
        return self.folder / "told.json"

    @property
    def home(self) -> Path:
        return self.folder / "home"


def layer_sets(attempt: Attempt) -> Iterator[frozenset[Layer]]:
    """All layers on its way; then all but each; then each alone; then none. Each set once."""
    layers = frozenset(attempt.layers)
    sets = [layers, *(layers - {one} for one in attempt.layers), *(frozenset({one}) for one in attempt.layers)]
    yield from dict.fromkeys([*sets, frozenset()])


def name_of(attempt: Attempt) -> str:
    """Row and name: what identifies it."""
    return f"{attempt.row} {attempt.name}"


def main(folder: Path, rows: str, named: str) -> None:
    """Effects: `plays.jsonl` in `folder`, of the attempts that are asked for."""
    load_all(HANDLERS)  # before the forks: each play would else import them
    certificates = write_certificates(folder)
    guarded, careless = (
        DatabaseAddress(**told) for told in json.loads((folder / DATABASES).read_text(encoding="utf-8"))
    )
    arrivals, record = folder / "arrivals.txt", folder / "record.jsonl"
    with (
        running_servers(certificates, arrivals=arrivals, record=record) as servers,
        (folder / PLAYS).open("w", encoding="utf-8") as plays,
    ):
        theatre = Theatre(folder=folder, servers=servers, guarded=guarded, careless=careless)
        for attempt in attempts(rows, named):
            for layers in layer_sets(attempt):
                print(json.dumps(asdict(_play(attempt, layers, theatre))), file=plays, flush=True)


def _play(attempt: Attempt, layers: frozenset[Layer], theatre: Theatre) -> Play:
    for path in (theatre.record, theatre.arrivals, theatre.told):
        path.unlink(missing_ok=True)
    shutil.rmtree(theatre.home, ignore_errors=True)
    make_home(theatre.home)
    began_ns = time.time_ns()
    pid = os.fork()
    if not pid:
        _child(attempt, layers, theatre)
    status = os.waitpid(pid, 0)[1]
    told: dict[str, Any] = {"ended": f"the process ended with status {status}", "mutated": None}
    if theatre.told.exists():
        told = json.loads(theatre.told.read_text(encoding="utf-8"))
    return Play(
        attempt=name_of(attempt),
        in_force=tuple(layer for layer in Layer if layer in layers),
        pid=pid,
        began_ns=began_ns,
        ended_ns=time.time_ns(),
        recorded=tuple(dict.fromkeys(json.loads(line)["layer"] for line in _lines(theatre.record))),
        ended=told["ended"],
        arrived=tuple(dict.fromkeys(_lines(theatre.arrivals))),
        mutated=None if told["mutated"] is None else tuple(told["mutated"]),
    )


def _child(attempt: Attempt, layers: frozenset[Layer], theatre: Theatre) -> NoReturn:
    os.setpgid(0, 0)
    signal.alarm(MAX_PLAY_S)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    watch, ended = HomeWatch(theatre.home), ""
    try:
        keep_record_in(theatre.record)
        stage = _stage(layers, theatre, watch)
        put_in_force(layers, ports=stage.ports)
        attempt.make(stage)
    except SimError as error:
        ended = str(error)
    except BaseException:
        ended = traceback.format_exc(limit=0).strip()[-300:] or "ended"
        raise  # as far as the end below
    finally:
        with suppress(OSError):
            told: dict[str, Any] = {"ended": ended, "mutated": watch.mutated()}
            theatre.told.write_text(json.dumps(told), encoding="utf-8")
        os._exit(0)


def _stage(layers: frozenset[Layer], theatre: Theatre, watch: HomeWatch) -> Stage:
    servers = theatre.servers
    return Stage(
        redirecting=servers.redirecting,
        double=servers.double if Layer.EXCHANGE_DOUBLE in layers else servers.careless_double,
        impostors=servers.impostors,
        authority=theatre.folder / AUTHORITY_FILE,
        home=theatre.home,
        database=theatre.guarded if Layer.DATABASE in layers else theatre.careless,
        begin=watch.begin,
        arrived=lambda sentence: note(theatre.arrivals, sentence),
    )


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
