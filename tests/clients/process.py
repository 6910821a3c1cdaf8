"""`ClientProcess`: other people's clients in a process of their own, with their own environment, called by name."""

import itertools
import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = REPOSITORY / ".venv-clients" / "bin" / "python"
DEADLINE_S: Final = 90.0
"""How long an answer is waited for: less than the bound of a test, and longer than a client waits itself."""
_END_S: Final = 10.0


@dataclass
class ClientRaisedError(Exception):
    """A client's own exception: its class, those it is derived from, its text, and what can be read off it."""

    type: str
    kinds: list[str]
    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    arguments: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.type}: {self.text} {self.fields}"


class Pending:
    """An answer that has not come yet."""

    def __init__(self, what: str, process: "ClientProcess") -> None:
        self._what = what
        self._process = process
        self.future: Future[Any] = Future()

    def result(self) -> Any:
        """What the call returned. Raises ClientRaisedError for what the client raised, TimeoutError at the deadline."""
        try:
            return self.future.result(DEADLINE_S)
        except TimeoutError as error:
            raise TimeoutError(f"{self._what}: no answer in {DEADLINE_S} s; {self._process.said()}") from error


class ClientProcess:
    """One process. Its answers are sorted by a thread that ends with it."""

    def __init__(self) -> None:
        if not PYTHON.exists():
            raise FileNotFoundError(f"{PYTHON.parents[1].name} is not there; scripts/setup --clients makes it")
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Pending] = {}
        self._lock = threading.Lock()
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [str(PYTHON), "-m", "tests.clients.driver.serve"],
            cwd=REPOSITORY,
            env=_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=reader, name=f"client-{reader.__name__}", daemon=True)
            for reader in (self._sort_answers, self._keep_words)
        ]
        for reader in self._readers:
            reader.start()

    def ask(self, do: str, **given: Any) -> Pending:
        """Sends a request of the driver."""
        number = next(self._numbers)
        pending = Pending(f"{do} {given.get('name', given.get('client', ''))}", self)
        with self._lock:
            self._waiting[number] = pending
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"id": number, "do": do, **given}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail_all()
        return pending

    def start(self, name: str, *arguments: Any, keep: str = "", **named: Any) -> Pending:
        """Begins a call of the client and does not wait."""
        return self.ask("call", name=name, arguments=arguments, named=named, keep=keep)

    def call(self, name: str, *arguments: Any, keep: str = "", **named: Any) -> Any:
        """Calls the client and returns what it returned. Raises as `Pending.result` does."""
        return self.start(name, *arguments, keep=keep, **named).result()

    def said(self) -> str:
        """The end of what the process wrote to its standard error."""
        lines: list[str] = []
        while not self._said.empty():
            lines.append(self._said.get())
        return "".join(lines[-20:])

    def end(self) -> None:
        """The process ends, and its threads."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)
        for reader in self._readers:
            reader.join(_END_S)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _sort_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = self._waiting.pop(answer["id"]).future
            if "error" in answer:
                future.set_exception(ClientRaisedError(**answer["error"]))
            else:
                future.set_result(answer["ok"])
        self._fail_all()

    def _fail_all(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for pending in waiting.values():
            pending.future.set_exception(ConnectionError(f"the client's process has ended: {self.said()}"))

    def _keep_words(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.put(line)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without proxies, and without what belongs to our own Python."""
    left_out = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    return {
        name: value for name, value in given.items() if name not in left_out and not name.lower().endswith("_proxy")
    }
