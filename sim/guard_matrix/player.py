"""Inside the namespace: plays every attempt, each with its layers in force, one knocked out, one alone, and none.

`python -m sim.guard_matrix.player FOLDER [ROWS]`. Each play is a forked process; all are told in `plays.jsonl` there.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NoReturn

from sim.errors import SimError
from sim.guard.refusal import Layer, keep_record_in
from sim.guard_matrix.attempt import Attempt, Stage
from sim.guard_matrix.knock_out import put_in_force
from sim.guard_matrix.rows import attempts

PLAYS = "plays.jsonl"
MAX_PLAY_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One attempt with `in_force` and nothing else: when and as which process, what was recorded, how it ended.

    `recorded` are the layers that put a refusal on record, in order. `ended` is empty for one that nothing stopped.
    """

    attempt: str
    in_force: tuple[str, ...]
    pid: int
    began_ns: int
    ended_ns: int
    recorded: tuple[str, ...]
    ended: str


def layer_sets(attempt: Attempt) -> Iterator[frozenset[Layer]]:
    """All layers on its way; then all but each; then each alone; then none. Each set once."""
    layers = frozenset(attempt.layers)
    sets = [layers, *(layers - {one} for one in attempt.layers), *(frozenset({one}) for one in attempt.layers)]
    yield from dict.fromkeys([*sets, frozenset()])


def name_of(attempt: Attempt) -> str:
    """Row and name: what identifies it."""
    return f"{attempt.row} {attempt.name}"


def main(folder: Path, rows: str) -> None:
    """Effects: `plays.jsonl` in `folder`."""
    port, server = _serve()
    home = folder / "home"
    home.mkdir()
    try:
        with (folder / PLAYS).open("w", encoding="utf-8") as plays:
            for attempt in attempts(rows):
                for layers in layer_sets(attempt):
                    play = _play(attempt, layers, folder, Stage(port=port, home=str(home)))
                    print(json.dumps(asdict(play)), file=plays, flush=True)
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def _play(attempt: Attempt, layers: frozenset[Layer], folder: Path, stage: Stage) -> Play:
    record, ended = folder / "record.jsonl", folder / "ended"
    for path in (record, ended):
        path.unlink(missing_ok=True)
    began_ns = time.time_ns()
    pid = os.fork()
    if not pid:
        _child(attempt, layers, record, ended, stage)
    status = os.waitpid(pid, 0)[1]
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    told = ended.read_text(encoding="utf-8") if ended.exists() else f"the process ended with status {status}"
    return Play(
        attempt=name_of(attempt),
        in_force=tuple(layer for layer in Layer if layer in layers),
        pid=pid,
        began_ns=began_ns,
        ended_ns=time.time_ns(),
        recorded=tuple(dict.fromkeys(json.loads(line)["layer"] for line in lines)),
        ended=told,
    )


def _child(attempt: Attempt, layers: frozenset[Layer], record: Path, ended: Path, stage: Stage) -> NoReturn:
    os.setpgid(0, 0)
    signal.alarm(MAX_PLAY_S)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    told = ""
    try:
        keep_record_in(record)
        put_in_force(layers, port=stage.port)
        attempt.make(stage)
    except SimError as error:
        told = str(error)
    except BaseException:
        told = traceback.format_exc(limit=0).strip()[-300:] or "ended"
        raise  # as far as the end below
    finally:
        with suppress(OSError):
            ended.write_text(told, encoding="utf-8")
        os._exit(0)


class _Redirecting(BaseHTTPRequestHandler):
    """Answers `/301` and its like, whatever follows, with that redirect to mainnet; all else with success."""

    def do_GET(self) -> None:
        """The answer to any method."""
        word = self.path.strip("/").partition("/")[0]
        status = int(word) if word.isdigit() else 200
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "https://api.binance.com/api/v3/order")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the plays are the record."""


def _serve() -> tuple[int, int]:
    """The port of a server on loopback, and its process."""
    server = HTTPServer(("127.0.0.1", 0), _Redirecting)
    pid = os.fork()
    if not pid:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    port = server.server_address[1]
    server.server_close()
    return int(port), pid


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
