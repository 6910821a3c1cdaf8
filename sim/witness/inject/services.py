"""The calls that this process makes of `DriftService`, each told as a click of our own process is: what it reached, and
in which transactions.

`SIM_SERVICES` names the folders that no service may call, relative to the repository and separated as a path is. Each
call becomes a line `service.transactions` of the log, with a line `service.called` for each function in those folders
that it reached. The service is wrapped as soon as it has been imported; until then this costs one comparison for each
import. What it watches with belongs to `sim.witness` and is imported with the service itself.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULE = "worker.services.drift"
BUTTON = "flag drift"

Tell = Callable[[dict[str, Any]], None]

_watching: "_Watching | None" = None


class _Watching:
    """Which folders no call may reach, and who is told of the calls."""

    def __init__(self, forbidden: Sequence[str], tell: Tell) -> None:
        self.forbidden, self.tell = forbidden, tell


def install(folders: str, tell: Tell) -> None:
    """Effects: every later call of `DriftService.create_flag_command` is told; the first line says that it will be.

    A second call changes the folders and who is told; each call of the service is still told once.
    """
    global _watching
    asked = _Watching(tuple(folders.split(os.pathsep)), tell)
    if _watching is None:
        _watching = asked
        imported = sys.modules.get(MODULE)
        if imported is not None:
            _watch(imported, asked)
        else:
            sys.meta_path.insert(0, _WhenImported(lambda module: _watch(module, asked)))
    else:
        _watching.forbidden, _watching.tell = asked.forbidden, asked.tell
    tell({"what": "services.watched"})


class _WhenImported:
    """Finds nothing itself; the module it waits for is handed on as soon as it has been executed."""

    def __init__(self, then: Callable[[ModuleType], None]) -> None:
        self._then = then

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The module's own spec, from the finders behind this one; None for every other module."""
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute, then = spec.loader.exec_module, self._then

        def exec_module(module: ModuleType) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _watch(module: ModuleType, asked: _Watching) -> None:
    from sim.witness.calls import calls_into
    from sim.witness.transactions import listen_to, watching_transactions
    from worker.contracts.errors import StackError

    service: Any = module.DriftService
    begin, flag = service.__init__, service.create_flag_command

    @wraps(begin)
    def listening(self: Any, engine: Any) -> None:
        listen_to(engine)
        begin(self, engine)

    @wraps(flag)
    def watched(self: Any, asset: str, *arguments: Any, **named: Any) -> Any:
        outcome = command_id = None
        tell = asked.tell
        with calls_into(*asked.forbidden) as calls, watching_transactions() as seen:
            try:
                command = flag(self, asset, *arguments, **named)
                outcome, command_id = "clicked", str(command.command_id) if command.created else None
            except StackError:
                outcome = "refused"
                raise
            finally:
                for place in calls.seen:
                    tell({"what": "service.called", "place": place, "button": BUTTON})
                transactions = [one.to_plain() for one in seen.transactions]
                tell(
                    {
                        "what": "service.transactions",
                        "asset": asset,
                        "button": BUTTON,
                        "outcome": outcome,
                        "command_id": command_id,
                        "transactions": transactions,
                        "is_blind": calls.is_blind,
                    }
                )
        return command

    service.__init__, service.create_flag_command = listening, watched
