"""How pytest plays a scenario that is marked `@every_interleaving`: every order of it, or the one of a token.

Options: `--sim-budget N`, `--sim-depth N`, `--sim-complete`, `--sim-seed N`, `--sim-split N`, `--sim-count N`,
`--sim-certificates DIR`, `--sim-token TOKEN`, `--sim-pause-at K`; `--sim-traces DIR` and `--sim-samples N` for
`sim selftest`.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sim import selftest
from sim.errors import SimError
from sim.rules.registry import RULES
from sim.schedule.certificate import DEFAULT_COUNTED, certify, count_anew, tell_certificate
from sim.schedule.crash_explorer import CrashExplorer, tell_crashes
from sim.schedule.crashing import keeps_names_in_order, require_every_order, struck_by
from sim.schedule.exploration import Exploration
from sim.schedule.explorer import Explorer
from sim.schedule.hub import Moment
from sim.schedule.interleaving import Interleaving, interleaving_of
from sim.schedule.kept_outcomes import forget, keep
from sim.schedule.repetition import repeat, sample
from sim.schedule.retelling import Pause, retell, tell_retold
from sim.schedule.sessions import Sessions
from sim.schedule.settings import COMPLETE_BUDGET, DEFAULT_BUDGET, DEFAULT_SAMPLES, Settings
from sim.schedule.stopwatch import now_s
from sim.schedule.tell import tell_disturbance, tell_exploration, tell_failure
from sim.schedule.token import read_token, scenario_mark
from sim.stack.looking_around import look_around
from sim.stack.rehearsal import Rehearsal, RuleBroken
from sim.stack.stack import Stack

PROPERTY = "sim_exploration"
"""Name of the property in which a test's report carries what its exploration did, one line of text each."""

CERTIFICATES = "build/outcomes"
"""Where certificates are kept unless the run says otherwise, below the folder that pytest calls its root."""

_SHARD = "sim_shard"
_races_key = pytest.StashKey[int]()
_PROGRESS_EVERY_S = 1.0


def add_options(group: Any) -> None:
    """Effects: the options of the director."""
    group.addoption(
        "--sim-budget",
        type=at_least(1),
        metavar="N",
        help=f"runs of the search at most ({DEFAULT_BUDGET}); what it leaves is sampled, three times N runs at most",
    )
    group.addoption("--sim-depth", type=at_least(0), metavar="N", help="look only at orders with at most N preemptions")
    group.addoption(
        "--sim-complete",
        action="store_true",
        help="explore each race completely, whatever bounds and limits of time it sets itself; that may take hours",
    )
    group.addoption("--sim-seed", type=int, default=1, metavar="N", help="seed of sampled orders (1)")
    group.addoption(
        "--sim-split",
        type=at_least(1),
        default=1,
        metavar="N",
        help="explore each race in N parts, which xdist spreads",
    )
    group.addoption(
        "--sim-count",
        type=at_least(0),
        default=DEFAULT_COUNTED,
        metavar="N",
        help=f"count orders anew, by running them one by one, where there are at most N ({DEFAULT_COUNTED}); more than "
        "that takes its time, without a limit; not with --sim-split",
    )
    group.addoption(
        "--sim-certificates", metavar="DIR", default=CERTIFICATES, help=f"where certificates go ({CERTIFICATES})"
    )
    group.addoption("--sim-token", metavar="TOKEN", help="play this one order, and no other scenario")
    group.addoption(
        "--sim-pause-at",
        type=at_least(1),
        metavar="K",
        help="with --sim-token: stop where its step K is due and open a shell with database and home as they are then",
    )

    group.addoption("--sim-traces", metavar="DIR", help="play the orders recorded in DIR again, and nothing else")
    group.addoption(
        "--sim-samples", type=int, default=0, metavar="N", help="with --sim-traces: draw N orders and record them there"
    )


def at_least(minimum: int) -> Callable[[str], int]:
    """Reads a number of the command line that is `minimum` or more."""

    def read(text: str) -> int:
        number = int(text)
        if number < minimum:
            raise ArgumentTypeError(f"expected {minimum} or more, found {number}")
        return number

    read.__name__ = "number"
    return read


def configure(config: pytest.Config) -> None:
    """Effects: one order is played in this very process, at whose terminal a pause can be answered.

    Raises: `SimError` (`schedule/malformed_token`, `schedule/no_token`).
    """
    token = config.getoption("--sim-token")
    if token is not None:
        read_token(token)
        config.option.dist, config.option.tx = "no", []
    elif config.getoption("--sim-pause-at") is not None:
        raise SimError(
            "schedule/no_token",
            "--sim-pause-at stops one order, which --sim-token names; give the token that a failure printed",
        )


def split(metafunc: pytest.Metafunc) -> None:
    """Effects: with `--sim-split` a marked scenario is one test per part."""
    parts = metafunc.config.getoption("--sim-split")
    if parts > 1 and interleaving_of(metafunc.function) is not None:
        metafunc.fixturenames.append(_SHARD)
        names = [f"part{number + 1}of{parts}" for number in range(parts)]
        metafunc.parametrize(_SHARD, list(range(parts)), ids=names)


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Effects: with `--sim-token` only its scenario is left, with `--sim-traces` only races are.

    Where somebody asked for what takes as long as it takes, no race has a limit of time, be it its own or pytest's.
    Raises: `SimError` (`schedule/malformed_token`, `schedule/unknown_scenario`).
    """
    if _takes_its_time(config):
        for item in items:
            if is_directed(item):
                item.add_marker(pytest.mark.timeout(0), append=False)
    text = config.getoption("--sim-token")
    if text is None:
        if config.getoption("--sim-traces") is not None:
            races = [item for item in items if is_directed(item)]
            config.hook.pytest_deselected(items=[item for item in items if item not in races])
            items[:] = races
            config.stash[_races_key] = len(races)
        return
    token = read_token(text)
    chosen = [item for item in items if is_directed(item) and scenario_mark(item.nodeid) == token.scenario]
    if not chosen and items:
        raise SimError(
            "schedule/unknown_scenario",
            f"none of the {len(items)} collected tests has the mark {token.scenario} of the token; name its file, or "
            "has the scenario been renamed?",
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def _takes_its_time(config: pytest.Config) -> bool:
    """Whether this run was asked for more than a limit of time allows for: everything, a count, a shell."""
    option = config.getoption
    return bool(
        option("--sim-complete") or option("--sim-count") > DEFAULT_COUNTED or option("--sim-pause-at") is not None
    )


def is_directed(item: pytest.Item) -> bool:
    """Whether the director plays this test."""
    function = getattr(item, "obj", None)
    return interleaving_of(function) is not None or struck_by(function) != ()


def needs_signals(item: pytest.Item) -> str | None:
    """Why this test can be played only where signals reach the server's processes; None where it can anywhere."""
    wish = interleaving_of(getattr(item, "obj", None))
    if wish is None or not wish.needs_signals:
        return None
    return (
        f"a race of {wish.actors} actors stops the server's processes by signals, so that who is served first is a "
        "choice; play it with --postgres=embedded"
    )


def play(item: pytest.Function, sessions: Sessions | None, stack: Stack | None) -> None:
    """Effects: the scenario was played in every order, or in the token's; what was found is a property of its report.

    Raises: as `Explorer.explore` and `replay`; `SimError` (`schedule/no_stack`) for a scenario that takes none.
    """
    if sessions is None or stack is None:
        raise SimError(
            "schedule/no_stack",
            "a scenario that the director plays takes `stack` and starts its actors in `stack.race()`; "
            f"{item.name} takes no `stack`",
        )
    wish = interleaving_of(item.obj) or Interleaving()
    rehearsal = Rehearsal(
        stack, sessions, _body(item), struck_by=struck_by(item.obj), names_in_order=keeps_names_in_order(item.obj)
    )
    rehearsal.hub.max_actors = wish.actors
    settings, scenario = _settings(item, wish), _scenario(item)
    token = item.config.getoption("--sim-token")
    if token is not None:
        _replay(item, rehearsal, stack, token)
        return
    if item.config.getoption("--sim-traces") is not None:
        _repeat(item, rehearsal)
        return
    if interleaving_of(item.obj) is None:
        _strike(item, rehearsal, scenario)
        return
    require_every_order(struck_by(item.obj))
    explorer = Explorer(rehearsal, settings, scenario, _progress(item))
    folder, part = _certificates(item), _part_name(item)
    lines: list[str] = []
    item.user_properties.append((PROPERTY, lines))
    try:
        found = explorer.explore()
        max_counted = item.config.getoption("--sim-count")
        counted = None if part else count_anew(rehearsal, found, max_orders=max_counted)
        certificate = certify(found, counted=counted, part=part)
    except BaseException:
        forget(folder, scenario, part)
        lines += tell_exploration(explorer.result)
        raise
    kept = keep(folder, certificate)
    lines += [
        *tell_certificate(certificate),
        *tell_disturbance(found),
        f"  kept      {_shown(kept, item.config.rootpath)}, {found.seconds:.2f} s",
    ]


def _strike(item: pytest.Function, rehearsal: Rehearsal, scenario: str) -> None:
    """Effects: every strike was tried, alone; the certificate is kept. Raises: as `CrashExplorer.explore`."""
    crashes, folder = CrashExplorer(rehearsal, scenario, alike=rehearsal.strikes.alike), _certificates(item)
    lines: list[str] = []
    item.user_properties.append((PROPERTY, lines))
    try:
        found = crashes.explore()
    except BaseException:
        forget(folder, scenario)
        lines += tell_crashes(crashes.result)
        raise
    lines += [*tell_crashes(found), f"  kept {_shown(keep(folder, found.certificate()), item.config.rootpath)}"]


def _certificates(item: pytest.Function) -> Path:
    folder: Path = item.config.rootpath / item.config.getoption("--sim-certificates")
    return folder


def _replay(item: pytest.Function, rehearsal: Rehearsal, stack: Stack, text: str) -> None:
    """Effects: one order was played; its story is a property of the report. Raises: what the body raises."""
    at, lines = item.config.getoption("--sim-pause-at"), [f"played {text}", f"  of {_scenario(item)}"]
    item.user_properties.append((PROPERTY, lines))
    kept = item.config.rootpath / "build" / "paused" / f"{text.partition(',')[0]}-{at}"

    def look(moment: Moment) -> None:
        with _at_the_terminal(item.config):
            look_around(stack, moment, at, kept)

    retold = retell(rehearsal, read_token(text).schedule, pause=None if at is None else Pause(at, look))
    lines += [f"  {line}" for line in tell_retold(retold)]
    if retold.error is None:
        lines.append(f"  rules    all {len(RULES)} judged, none broken; every assertion of the scenario held")
        return
    if isinstance(retold.error, RuleBroken):
        lines.append(f"  rules    BROKEN {', '.join(dict.fromkeys(one.rule for one in retold.error.breaches))}")
    lines.append(f"  failed   {type(retold.error).__name__}: {str(retold.error).partition(chr(10))[0]}")
    for note in tell_failure(retold.trace, token=text, scenario=_scenario(item)):
        retold.error.add_note(note)
    raise retold.error


def _repeat(item: pytest.Function, rehearsal: Rehearsal) -> None:
    """Effects: orders of the scenario were recorded, or those that were are played again and compared."""
    scenario, option = _scenario(item), item.config.getoption
    folder, mark = Path(option("--sim-traces")), scenario_mark(scenario)
    if option("--sim-samples"):
        count = -(-option("--sim-samples") // max(item.config.stash[_races_key], 1))
        selftest.record(folder, mark, sample(rehearsal, count, seed=option("--sim-seed"), scenario=scenario))
        return
    recorded = selftest.read_recorded(folder, mark)
    diverged = tuple(found for one in recorded if (found := repeat(rehearsal, one)) is not None)
    selftest.report(folder, mark, selftest.Repeated(scenario=scenario, replays=len(recorded), divergences=diverged))


@contextmanager
def _at_the_terminal(config: pytest.Config) -> Iterator[None]:
    """Inside the block, standard input and output are those of the one who started pytest."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend(in_=True)
    try:
        yield
    finally:
        if capture is not None:
            capture.resume()


def summarize(reporter: Any) -> None:
    """Effects: at the end of the run, what each exploration did."""
    sections = [
        line
        for outcome in ("passed", "failed")
        for report in reporter.stats.get(outcome, [])
        for line in lines_of(report)
    ]
    if sections:
        reporter.section("explored")
        for line in sections:
            reporter.line(line)


def lines_of(report: Any) -> Iterable[str]:
    """What the director told of a test, one line of text each."""
    if getattr(report, "when", None) == "call":
        for name, lines in getattr(report, "user_properties", []):
            if name == PROPERTY:
                yield from lines


def _settings(item: pytest.Function, wish: Interleaving) -> Settings:
    option = item.config.getoption
    budget, depth = option("--sim-budget"), option("--sim-depth")
    parts = option("--sim-split")
    if option("--sim-complete"):
        wish = Interleaving(budget=COMPLETE_BUDGET)
    runs = budget if budget is not None else wish.budget or DEFAULT_BUDGET
    return Settings(
        budget=runs,
        # Who has few runs to spend does not want twice as many samples beyond them.
        samples=min(DEFAULT_SAMPLES, runs),
        depth=depth if depth is not None else wish.max_preemptions,
        seed=option("--sim-seed"),
        shard=_part(item),
        shards=parts,
    )


def _part(item: pytest.Function) -> int:
    """Which part of its scenario this test explores, from 0."""
    number = item.callspec.params.get(_SHARD, 0) if hasattr(item, "callspec") else 0
    return number if isinstance(number, int) else 0


def _part_name(item: pytest.Function) -> str:
    """What the part that this test explores is called; empty where it explores all."""
    parts = item.config.getoption("--sim-split")
    return "" if parts == 1 else f"part{_part(item) + 1}of{parts}"


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _scenario(item: pytest.Function) -> str:
    """The scenario's name; its parts share one."""
    parts = item.config.getoption("--sim-split")
    if parts == 1:
        return item.nodeid
    part = f"part{_part(item) + 1}of{parts}"
    return item.nodeid.replace(f"[{part}]", "").replace(f"-{part}", "").replace(f"{part}-", "")


def _body(item: pytest.Function) -> Callable[[Stack], object]:
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    return lambda stack: item.obj(**{**arguments, "stack": stack})


def _progress(item: pytest.Function) -> Callable[[Exploration], None]:
    reporter = item.config.pluginmanager.get_plugin("terminalreporter")
    is_shown = bool(getattr(reporter, "isatty", False)) and not hasattr(item.config, "workerinput")
    last = now_s()

    def show(exploration: Exploration) -> None:
        nonlocal last
        if reporter is not None and is_shown and now_s() - last > _PROGRESS_EVERY_S:
            last = now_s()
            reporter.rewrite(f"{exploration.runs} runs, {exploration.ends} to their ends ", erase=True)

    return show
