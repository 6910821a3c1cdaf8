"""Which calls of a stack's worker a race can make its own: those that run one as a process, in the race's words."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.errors import SimError
from sim.schedule.race import WorkerCall
from sim.stack.worker_actor import WorkerActor


def worker_call(
    worker: WorkerActor, call: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]
) -> WorkerCall | None:
    """The worker that `call` would start; None where it is no call of `worker`.

    How long it may take is the director's to say, not the call's.
    Raises: `SimError` (`schedule/undirected_worker`) for one that would run a worker past the director.
    """
    if getattr(call, "__self__", None) is not worker:
        return None
    asked = inspect.signature(call).bind(*arguments, **named)
    asked.apply_defaults()
    told = asked.arguments
    match call.__name__:
        case "run_once":
            argv: tuple[str, ...] = ("--once",)
        case "run_until_idle":
            argv = ("--max-iterations", str(told["max_commands"]))
        case other:
            raise SimError(
                "schedule/undirected_worker",
                f"stack.worker.{other} would run past the director, in one go; let the worker take part by "
                'race.start(stack.worker.run_once, cold=...) or race.worker("w1", argv=[...]), which are a process of '
                'its own, or by race.start(stack.worker.directed("w1").run_once), which is in this one',
            )
    return WorkerCall(
        worker_id=told["worker_id"],
        argv=argv,
        cold=told.get("cold", False),
        environment=told.get("environment") or {},
    )
