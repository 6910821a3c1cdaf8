"""How pytest plays a scenario that is marked `@every_interleaving`: every order of it, or the one of a token.

Options: `--sim-budget N`, `--sim-depth N`, `--sim-seed N`, `--sim-split N`, `--sim-token TOKEN`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sim.errors import SimError
from sim.schedule.exploration import Exploration
from sim.schedule.explorer import Explorer, replay
from sim.schedule.interleaving import Interleaving, interleaving_of
from sim.schedule.sessions import Sessions
from sim.schedule.settings import DEFAULT_BUDGET, Settings
from sim.schedule.stopwatch import now_s
from sim.schedule.tell import tell_exploration, tell_trace
from sim.schedule.token import read_token, scenario_mark
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack

PROPERTY = "sim_exploration"
"""Name of the property in which a test's report carries what its exploration did, one line of text each."""

_SHARD = "sim_shard"
_PROGRESS_EVERY_S = 1.0


def add_options(group: Any) -> None:
    """Effects: the options of the director."""
    group.addoption("--sim-budget", type=int, metavar="N", help=f"runs of one exploration at most ({DEFAULT_BUDGET})")
    group.addoption("--sim-depth", type=int, metavar="N", help="look only at orders with at most N preemptions")
    group.addoption("--sim-seed", type=int, default=1, metavar="N", help="seed of sampled orders (1)")
    group.addoption(
        "--sim-split", type=int, default=1, metavar="N", help="explore each race in N parts, which xdist spreads"
    )
    group.addoption("--sim-token", metavar="TOKEN", help="play this one order, and no other scenario")


def split(metafunc: pytest.Metafunc) -> None:
    """Effects: with `--sim-split` a marked scenario is one test per part."""
    parts = metafunc.config.getoption("--sim-split")
    if parts > 1 and interleaving_of(metafunc.function) is not None:
        metafunc.fixturenames.append(_SHARD)
        names = [f"part{number + 1}of{parts}" for number in range(parts)]
        metafunc.parametrize(_SHARD, list(range(parts)), ids=names)


def select_token(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Effects: with `--sim-token` only its scenario is left.

    Raises: `SimError` (`schedule/malformed_token`, `schedule/unknown_scenario`).
    """
    text = config.getoption("--sim-token")
    if text is None:
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


def is_directed(item: pytest.Item) -> bool:
    """Whether the director plays this test."""
    return interleaving_of(getattr(item, "obj", None)) is not None


def play(item: pytest.Function, sessions: Sessions, stack: Stack) -> None:
    """Effects: the scenario was played in every order, or in the token's; what was found is a property of its report.

    Raises: as `Explorer.explore` and `replay`.
    """
    wish = interleaving_of(item.obj) or Interleaving()
    rehearsal = Rehearsal(stack, sessions, _body(item))
    settings, scenario = _settings(item, wish), _scenario(item)
    token = item.config.getoption("--sim-token")
    if token is not None:
        lines = list(tell_trace(replay(rehearsal, read_token(token).schedule)))
        item.user_properties.append((PROPERTY, [f"played {token}", *lines]))
        return
    explorer = Explorer(rehearsal, settings, scenario, _progress(item))
    try:
        explorer.explore()
    finally:
        item.user_properties.append((PROPERTY, list(tell_exploration(explorer.result))))


def summarize(reporter: Any) -> None:
    """Effects: at the end of the run, what each exploration did."""
    sections = [
        line
        for outcome in ("passed", "failed")
        for report in reporter.stats.get(outcome, [])
        for line in _lines(report)
    ]
    if sections:
        reporter.section("explored")
        for line in sections:
            reporter.line(line)


def _lines(report: Any) -> Iterable[str]:
    if getattr(report, "when", None) == "call":
        for name, lines in getattr(report, "user_properties", []):
            if name == PROPERTY:
                yield from lines


def _settings(item: pytest.Function, wish: Interleaving) -> Settings:
    option = item.config.getoption
    budget, depth = option("--sim-budget"), option("--sim-depth")
    parts = option("--sim-split")
    return Settings(
        budget=budget if budget is not None else wish.budget or DEFAULT_BUDGET,
        depth=depth if depth is not None else wish.max_preemptions,
        seed=option("--sim-seed"),
        shard=_part(item),
        shards=parts,
    )


def _part(item: pytest.Function) -> int:
    """Which part of its scenario this test explores, from 0."""
    number = item.callspec.params.get(_SHARD, 0) if hasattr(item, "callspec") else 0
    return number if isinstance(number, int) else 0


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
