"""What pytest needs to play scenarios: the server of the run, the stack of a scenario, the rules after it.

Options: `--postgres=embedded|container|dsn`, `--worker-command 'CMD'`, `--worker-without GROUP`,
`--sim-forensics DIR`. Fixture: `stack`.
"""

import argparse
import json
import os
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sim import pytest_director as director
from sim import pytest_playable as playable
from sim.errors import SimError
from sim.postgres.clones import clone
from sim.postgres.leases import LeasePool
from sim.postgres.private import PrivateServer, private_server
from sim.postgres.run_folder import RunFolder, open_run
from sim.postgres.server import Kind, RunningServer, start_server
from sim.postgres.template import stack_template
from sim.report.forensics import new_folder
from sim.report.text import tell
from sim.rules.breach import Breach
from sim.rules.registry import judge
from sim.schedule.sessions import Sessions
from sim.stack.exchange_stage import LazyExchange
from sim.stack.kept_stages import KeptStages
from sim.stack.launcher import worker_command
from sim.stack.migrations import Migrations
from sim.stack.sensors import blind_sensors
from sim.stack.stack import Stack, open_stack
from sim.stack.warm_up import LazyZygote
from sim.timeline import Timeline
from worker.db.session import BoundedConnection

FORENSICS = "build/forensics"
"""Where evidence is kept unless the run says otherwise, below the folder that pytest calls its root."""

SHARED_SERVER = "SIM_SHARED_SERVER"
"""Environment of a run within a run: the server of the outer one, as `RunningServer.to_plain` writes it."""

_server_key = pytest.StashKey[RunningServer]()
_run_key = pytest.StashKey[RunFolder]()
_homes_key = pytest.StashKey[str]()
_left_out_key = pytest.StashKey[playable.LeftOut]()
_stack_key = pytest.StashKey[Stack]()
_migrations_key = pytest.StashKey[Timeline]()
_sessions_key = pytest.StashKey[Sessions]()
_blind_key = pytest.StashKey[Counter[str]]()
_stages_key = pytest.StashKey[KeptStages]()

pytest_plugins = ("sim.pytest_memory", "sim.pytest_shared", "sim.pytest_told_to_stop")


class StopRuleBreached(AssertionError):
    """A rule was broken in a scenario whose own assertions may all have passed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Effects: the options of the harness."""
    group = parser.getgroup("sim", "trading stack simulation")
    group.addoption(
        "--postgres",
        type=_kind,
        metavar=f"{{{','.join(Kind)}}}",
        default=Kind.EMBEDDED.value,
        help="which Postgres: packaged binaries (default), a container (SIM_POSTGRES_IMAGE), or SIM_DATABASE_URL",
    )
    group.addoption(
        "--worker-command",
        metavar="CMD",
        help="play every scenario that uses a worker process against this executable; {python} is this interpreter",
    )
    group.addoption(
        "--sim-forensics",
        metavar="DIR",
        default=FORENSICS,
        help=f"where the evidence of a scenario that failed goes, a new folder each time ({FORENSICS})",
    )
    director.add_options(group)
    group.addoption(
        "--worker-without",
        metavar="GROUP",
        action="append",
        default=[],
        choices=playable.HANDLER_GROUPS,
        help="the worker of --worker-command has no handlers for this group (managed): its scenarios are listed as "
        "not playable; without this option everything is played",
    )


def _kind(text: str) -> str:
    """The name of a kind of server. What is none is not shown: it may be a URL with a password."""
    if text not in set(Kind):
        raise argparse.ArgumentTypeError(
            f"expected {', '.join(Kind)}, found {len(text)} characters; a database's URL goes into SIM_DATABASE_URL"
        )
    return text


def pytest_configure(config: pytest.Config) -> None:
    """Effects: the markers. Raises: `pytest.UsageError` for a worker command, or a token, that is none."""
    for marker in playable.MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--worker-without") and config.getoption("--worker-command") is None:
        raise pytest.UsageError("--worker-without says what a foreign worker lacks; give --worker-command with it")
    config.stash[_left_out_key] = playable.nothing_left_out(config)
    config.stash[_blind_key] = Counter()
    config.stash[_stages_key] = KeptStages()
    with _as_usage_error():
        director.configure(config)
        if (text := config.getoption("--worker-command")) is not None:
            worker_command(text)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Effects: an xdist worker learns of the controller's server, and of the run's folder for homes."""
    node.workerinput["sim_server"] = _server(node.config).to_plain()
    node.workerinput["sim_homes"] = node.config.stash.get(_homes_key, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Effects: scenarios that a foreign worker, or this kind of server, cannot play are taken out and listed.

    Raises: `pytest.UsageError` for a scenario that needs a group of handlers that there is not.
    """
    with _as_usage_error():
        director.select(config, items)
    playable.leave_out(config, items, config.stash[_left_out_key])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Effects: a scenario that is to be explored in parts is a test per part."""
    director.split(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """True once a scenario that is marked so was played in every order; None leaves it to pytest."""
    if not director.is_directed(pyfuncitem):
        return None
    director.play(pyfuncitem, pyfuncitem.stash.get(_sessions_key, None), pyfuncitem.stash.get(_stack_key, None))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Effects: a server that cannot be had is one usage error before the first test, not an error in each."""
    wanted = any("postgres_server" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        _server(session.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Effects: an xdist worker tells the controller what only its terminal can show: left out, and blind sensors."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["sim_left_out"] = session.config.stash[_left_out_key]
        blind = session.config.stash[_blind_key]
        output["sim_blind"] = dict(blind)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Effects: what an xdist worker left out is told once, for every worker collects the same; blind ones add up."""
    output = getattr(node, "workeroutput", {})
    playable.add(node.config.stash[_left_out_key], output.get("sim_left_out", {}))
    node.config.stash[_blind_key].update(output.get("sim_blind", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Effects: names what was cleaned, what could not be played, and which sensors saw nothing."""
    run = config.stash.get(_run_key, None)
    if run is not None and run.cleaned:
        terminalreporter.section("left by earlier runs, cleaned")
        for what in run.cleaned:
            terminalreporter.line(what)
    playable.summarize(terminalreporter, config.stash[_left_out_key])
    director.summarize(terminalreporter)
    blind = config.stash[_blind_key]
    if blind:
        terminalreporter.section("sensors that were blind")
        for sentence, scenarios in sorted(blind.items()):
            terminalreporter.line(f"{sentence} ({scenarios} scenario{'s' if scenarios > 1 else ''})")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Effects: in the process that started it, the server stops and its folder goes."""
    server = config.stash.get(_server_key, None)
    if server is not None:
        server.stop()
    run = config.stash.get(_run_key, None)
    if run is not None:
        run.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """The test's own result, unless a rule was broken; then the breach fails it in its own right."""
    try:
        result = yield
    except BaseException as failure:
        stack = item.stash.get(_stack_key, None)
        if stack is not None:
            breaches = _finished(item, stack)
            item.add_report_section("call", "sim", tell(breaches, stack.timeline))
            broken = ", ".join(dict.fromkeys(breach.rule for breach in breaches)) or "none"
            failure.add_note(f"rules broken: {broken}; evidence: {_kept(item, stack, breaches)}")
        migrated = item.stash.get(_migrations_key, None)
        if migrated is not None:
            broken = ", ".join(dict.fromkeys(breach.rule for breach in judge(migrated))) or "none"
            failure.add_note(f"rules broken by its migrations: {broken}")
        for line in _reproduced_by(item) if stack is not None or migrated is not None else ():
            failure.add_note(line)
        raise
    stack = item.stash.get(_stack_key, None)
    if stack is not None and not director.is_directed(item):  # of those each order was judged by itself
        breaches = _finished(item, stack)
        if breaches:
            folder = _kept(item, stack, breaches)
            raise StopRuleBreached(
                f"{tell(breaches, stack.timeline)}\nEVIDENCE {folder}\n" + "\n".join(_reproduced_by(item))
            )
    migrated = item.stash.get(_migrations_key, None)
    if migrated is not None:
        breaches = judge(migrated)
        if breaches:
            raise StopRuleBreached("\n".join([tell(breaches, migrated), *_reproduced_by(item)]))
    return result


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> RunningServer:
    """The server that all scenarios of the run share."""
    return _server(request.config)


@pytest.fixture(scope="session")
def lease_pool(postgres_server: RunningServer) -> Iterator[LeasePool]:
    """This process's databases."""
    pool = LeasePool(postgres_server, label=f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}")
    yield pool
    pool.close()


@pytest.fixture
def migrations(request: pytest.FixtureRequest, postgres_server: RunningServer) -> Iterator[Migrations]:
    """The migrations of a blank database of its own, marked as a testnet one; the rules judge each of their steps."""
    timeline = Timeline()
    request.node.stash[_migrations_key] = timeline
    with clone(postgres_server, migrated=False) as address:
        yield Migrations(address, timeline=timeline)


@pytest.fixture
def home_below(request: pytest.FixtureRequest, postgres_server: RunningServer, tmp_path: Path) -> Iterator[Path]:
    """Where the home of this test's stack lies: in the run's folder, which is in memory where there is some.

    A worker syncs a dozen files per command, and on a disk that others use each of them waits. In a run within a run it
    is the test's own folder.
    """
    homes = request.config.stash.get(_homes_key, None)
    if homes is None:
        yield tmp_path
        return
    below = Path(tempfile.mkdtemp(dir=homes))
    yield below
    shutil.rmtree(below, ignore_errors=True)


@pytest.fixture
def stack(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    home_below: Path,
    lease_pool: LeasePool,
    zygote: LazyZygote,
    exchange_stage: LazyExchange,
    patched_time: None,
) -> Iterator[Stack]:
    """One isolated stack; the rules judge it when the test's own body has passed."""
    text = request.config.getoption("--worker-command")
    command = None if text is None else worker_command(text)
    with ExitStack() as closing:
        private = closing.enter_context(_own_server(request.node, lease_pool.server))
        lease = closing.enter_context(lease_pool.acquire() if private is None else private.lease())
        connect: Callable[..., psycopg.Connection[Any]] = BoundedConnection.connect
        if director.is_directed(request.node):
            sessions = Sessions(lease.address, signals=lease_pool.server.supports_signals)
            request.node.stash[_sessions_key] = closing.enter_context(sessions)
            connect = sessions.connect
        opened = open_stack(
            lease,
            tmp_path,
            zygote=zygote.get,
            worker_command=command,
            home_below=home_below,
            connect=connect,
            stages=_stages(request.node),
            server=private,
            exchange_stage=exchange_stage.get,
        )
        made = closing.enter_context(opened)
        # Found here by the judge, even where a test asked for its stack by another fixture's name.
        request.node.stash[_stack_key] = made
        yield made


def _stages(item: pytest.Item) -> KeptStages | None:
    """The starting facts that this process keeps: for scenarios, which change no code, played on our own worker.

    A race makes its own, so that every order of it begins with the same ids in every process.
    """
    is_scenario = item.path.is_relative_to(Path(__file__).parent / "scenarios")
    is_ours = item.config.getoption("--worker-command") is None
    return item.config.stash[_stages_key] if is_scenario and is_ours and not director.is_directed(item) else None


def _own_server(item: pytest.Item, shared: RunningServer) -> AbstractContextManager[PrivateServer | None]:
    """A server for this scenario alone, where it is marked to have one."""
    is_marked = item.get_closest_marker(playable.PRIVATE_SERVER) is not None
    return private_server(shared.run_id, shared.run_dir, stack_template()) if is_marked else nullcontext()


def _finished(item: pytest.Item, stack: Stack) -> tuple[Breach, ...]:
    """The breaches of the story. Effects: its blind sensors are counted for the end of the run."""
    breaches = stack.finish()
    item.config.stash[_blind_key].update(blind_sensors(stack.timeline))
    return breaches


def _kept(item: pytest.Item, stack: Stack, breaches: tuple[Breach, ...]) -> Path:
    """The folder of the evidence, beyond the life of `tmp_path`, of which pytest keeps that of three runs only."""
    below = item.config.rootpath / item.config.getoption("--sim-forensics")
    return stack.keep(breaches, new_folder(below, item.nodeid))


def _reproduced_by(item: pytest.Item) -> Iterator[str]:
    """The command that plays this test again as it was played here; none for a race, whose token says which order."""
    if director.is_directed(item):
        return
    option = item.config.getoption
    words = [item.nodeid, "-p", "no:xdist"]
    # Without the plugin there is no seed; pytest would not know its option either.
    seed = option("randomly_seed", default=None)
    words += [f"--randomly-seed={seed}"] if isinstance(seed, int) else ["-p", "no:randomly"]
    words += [f"--postgres={option('--postgres')}"] if option("--postgres") != Kind.EMBEDDED.value else []
    words += [f"--worker-command={option('--worker-command')}"] if option("--worker-command") else []
    words += [f"--worker-without={group}" for group in option("--worker-without")]
    yield f"reproduce: pytest {shlex.join(words)}"


def _server(config: pytest.Config) -> RunningServer:
    """The run's server: the controller's where there is one, else started here once."""
    if config.stash.get(_server_key, None) is None:
        shared = os.environ.get(SHARED_SERVER)
        plain = getattr(config, "workerinput", {}).get("sim_server") or (json.loads(shared) if shared else None)
        if plain is not None:
            config.stash[_server_key] = RunningServer.from_plain(plain)
            homes = getattr(config, "workerinput", {}).get("sim_homes")
            if homes is not None:
                config.stash[_homes_key] = homes
        else:
            config.stash[_server_key] = _started(config)
    return config.stash[_server_key]


def _started(config: pytest.Config) -> RunningServer:
    with _as_usage_error():
        run = open_run()
        config.stash[_run_key] = run
        config.stash[_homes_key] = str(_made(run.path / "homes"))
        return start_server(Kind(config.getoption("--postgres")), run, stack_template())


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def _as_usage_error() -> Iterator[None]:
    """What the harness refuses inside the block is told by pytest in one sentence, with its exit code for wrong use."""
    try:
        yield
    except SimError as error:
        raise pytest.UsageError(str(error)) from error
