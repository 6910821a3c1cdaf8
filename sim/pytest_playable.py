"""Which scenarios a run cannot play, because of its worker or of its server: they are listed with the reason."""

from collections.abc import Mapping
from typing import Any

import pytest

from sim import pytest_director as director
from sim.postgres.running import Kind

OWN_WORKER_ONLY = "own_worker_only"
NEEDS_HANDLERS = "needs_handlers"
PRIVATE_SERVER = "private_server"
HANDLER_GROUPS = ("managed",)
"""The groups of command types that a foreign worker may lack, each as a whole."""

MARKERS = (
    f"{OWN_WORKER_ONLY}(reason): cannot be played against a foreign worker; listed, never passed",
    f"{NEEDS_HANDLERS}(group): cannot be played against a worker that lacks these handlers; listed",
    f"{PRIVATE_SERVER}: played on an embedded server of its own, which it may kill and start again",
)

_FOREIGN_WORKER = "against --worker-command"

LeftOut = dict[str, dict[str, str]]
"""By the option that keeps scenarios from being played, each of them with its reason."""


def nothing_left_out(config: pytest.Config) -> LeftOut:
    """Every option of this run because of which a scenario could not be played, and no scenario yet."""
    kind = Kind(config.getoption("--postgres"))
    options = [_FOREIGN_WORKER] if config.getoption("--worker-command") is not None else []
    return {option: {} for option in (options if kind.supports_signals else [*options, f"on --postgres={kind}"])}


def leave_out(config: pytest.Config, items: list[pytest.Item], left_out: LeftOut) -> None:
    """Effects: what cannot be played is taken out of `items` and told in `left_out`.

    Raises: `pytest.UsageError` for a scenario that needs a group of handlers that there is not.
    """
    for item in items:
        unknown = _needed(item) - set(HANDLER_GROUPS)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} needs handlers {sorted(unknown)}, known are {HANDLER_GROUPS}")
    lacking = set(config.getoption("--worker-without"))
    for option, told in left_out.items():
        is_worker = option == _FOREIGN_WORKER
        why = {item: _lacks(item, lacking) if is_worker else director.needs_signals(item) for item in items}
        reasons = {item: reason for item, reason in why.items() if reason is not None}
        told.update({item.nodeid: reason for item, reason in reasons.items()})
        items[:] = [item for item in items if item not in reasons]
        config.hook.pytest_deselected(items=list(reasons))


def add(left_out: LeftOut, more: Mapping[str, Mapping[str, str]]) -> None:
    """Effects: what another process of the run left out is left out."""
    for option, told in more.items():
        left_out[option].update(told)


def summarize(reporter: Any, left_out: LeftOut) -> None:
    """Effects: what was left out is listed, option by option."""
    for option, told in left_out.items():
        if told:
            reporter.section(f"not playable {option}")
            for nodeid, reason in sorted(told.items()):
                reporter.line(f"{nodeid}: {reason}")


def _needed(item: pytest.Item) -> set[str]:
    """The groups of handlers that the scenario needs."""
    return {str(group) for marker in item.iter_markers(NEEDS_HANDLERS) for group in marker.args}


def _lacks(item: pytest.Item, lacking: set[str]) -> str | None:
    """Why a foreign worker without the handlers of `lacking` cannot play the scenario; None where it can."""
    marker = item.get_closest_marker(OWN_WORKER_ONLY)
    if marker is not None:
        return str(marker.args[0]) if marker.args else "no reason given"
    missing = sorted(_needed(item) & lacking)
    return f"it needs handlers for {', '.join(missing)}, which --worker-without says are lacking" if missing else None
