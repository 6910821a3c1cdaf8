"""A stack without pytest: for a command that plays one story and prints it."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sim.postgres.leases import LeasePool
from sim.postgres.run_folder import open_run
from sim.postgres.server import Kind, start_server
from sim.postgres.template import stack_template
from sim.schedule.sessions import Sessions
from sim.stack.stack import Stack, open_stack
from sim.stack.warm_up import warm_zygote


@dataclass(frozen=True, slots=True)
class LoneStack:
    """A stack, and the director's sessions on its database."""

    stack: Stack
    sessions: Sessions


@contextmanager
def lone_stack(label: str) -> Iterator[Stack]:
    """As `directed_stack`, for a story that nobody directs."""
    with directed_stack(label) as made:
        yield made.stack


@contextmanager
def directed_stack(label: str) -> Iterator[LoneStack]:
    """A stack on an embedded server of its own; server, processes and folder are gone after.

    `label` is a word that the names of its databases bear. Raises: `SimError` when no server can be had.
    """
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix=f"sim-{label}-")))
        run = open_run()
        closing.callback(run.close)
        server = start_server(Kind.EMBEDDED, run, stack_template())
        closing.callback(server.stop)
        pool = LeasePool(server, label=label)
        closing.callback(pool.close)
        for name in ("zygote", "stack"):
            (folder / name).mkdir()
        homes = run.path / "homes"
        homes.mkdir()
        with pool.acquire() as lease:
            zygote = warm_zygote(lease.address, folder / "zygote")
        closing.callback(zygote.close)
        lease = closing.enter_context(pool.acquire())
        sessions = closing.enter_context(Sessions(lease.address, signals=server.supports_signals))
        # In memory where there is some, as under pytest: a worker syncs a dozen files per command.
        stack = open_stack(lease, folder / "stack", zygote=lambda: zygote, home_below=homes, connect=sessions.connect)
        yield LoneStack(closing.enter_context(stack), sessions)
