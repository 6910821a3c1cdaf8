"""What must not be lost: the files right after a kill, and files and rows once a second worker has come to its end."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import UUID

from sim.stack.stack import Stack
from tests.sim.kill_points.image import Image

BASELINE, MANAGED_STATE, INTENT = "state/baseline_holdings.json", "state/managed_state.json", "state/.intent.json"
PROPOSALS, SNAPSHOTS = "state/risk_proposals/", "state/audit_snapshots/"
LOCK, WORKER_PID = "state/.lock", "logs/command_worker.pid"
_OF_THE_WORKER = (BASELINE, MANAGED_STATE, PROPOSALS, SNAPSHOTS, LOCK, WORKER_PID)
_DRIFT = ("baseline.cache_drift_detected", "managed.cache_drift_detected")
"""Said by whoever finishes another worker's change (R10); an unkilled run has nothing to say it of."""

_CHANGING = ("changed_at", "recorded_at")
"""When a change was made; whoever makes it anew makes it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A stack at rest, in what must be the same whether or not a worker was killed on the way.

    `untouched` are the files that are not the worker's, each with its content and when it was changed (ns).
    """

    command: tuple[str, str | None] | None
    log: Mapping[str, int]
    audit: Mapping[tuple[str, str | None], int]
    history: tuple[tuple[Any, ...], ...]
    proposals: tuple[tuple[Any, ...], ...]
    cache: tuple[tuple[Any, ...], ...]
    baseline: Mapping[str, Any]
    managed_state: Mapping[str, Any]
    paths: tuple[str, ...]
    untouched: Mapping[str, tuple[bytes, int]]


def at_rest(stack: Stack, image: Image, command_id: UUID | None) -> Rest:
    """The stack as it stands now; it began as `image` shows."""
    rows = stack.rows
    view = None if command_id is None else stack.command(command_id)
    log = [] if command_id is None else stack.log_of(command_id)
    audit = rows.query("SELECT event_type, command_id::text FROM audit_events")
    history = rows.query(
        "SELECT asset, state_from, state_to, actor, event_type FROM managed_assets_history ORDER BY ts, id"
    )
    proposals = rows.query(
        "SELECT proposal_id, asset, state, decision, decided_by_user_id, decided_at IS NULL AS open, "
        "proposal_json IS NULL AS empty FROM managed_proposals ORDER BY proposal_id"
    )
    cache = rows.query("SELECT asset, quantity, frozen FROM baseline_holdings ORDER BY asset")
    paths = sorted(path for path in stack.home.rglob("*") if path.is_file())
    return Rest(
        command=None if view is None else (view.status.value, view.error_message),
        log=Counter(event for event in log if event.endswith((".applied", ".rejected", "result_written"))),
        audit=Counter((row["event_type"], row["command_id"]) for row in audit if row["event_type"] not in _DRIFT),
        history=tuple(tuple(row.values()) for row in history),
        proposals=tuple(tuple(row.values()) for row in proposals),
        cache=tuple(tuple(row.values()) for row in cache),
        baseline=_document(stack.home / BASELINE),
        managed_state=_document(stack.home / MANAGED_STATE),
        paths=tuple(path.relative_to(stack.home).as_posix() for path in paths),
        untouched={
            name: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in paths
            if not (name := path.relative_to(stack.home).as_posix()).startswith(_OF_THE_WORKER)
        },
    )


def losses_at_rest(found: Rest, wanted: Rest) -> list[str]:
    """In what a stack that was recovered rests otherwise than one where nothing happened."""
    return [
        f"{one.name} at rest: {_differences(getattr(wanted, one.name), getattr(found, one.name))}"
        for one in fields(Rest)
        if getattr(found, one.name) != getattr(wanted, one.name)
    ]


def losses_on_disk(old: Mapping[str, bytes], found: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the files that a killed worker left, before anybody has recovered them.

    `old` are the files it found, `new` those it would have left. Each must be as in one of the two, and those that
    belong together must have come in their order: the proposal, then the intent, both files, the snapshot.
    """
    lost = [
        f"{path} is neither as before nor as after"
        for path, content in found.items()
        if not Path(path).name.startswith(".") and path != WORKER_PID and content not in (old.get(path), new.get(path))
    ]
    lost += [f"{path} is gone" for path in old if path not in found and not Path(path).name.startswith(".")]
    pair = {path: found.get(path) == new.get(path) for path in (BASELINE, MANAGED_STATE)}
    is_old = all(found.get(path) == old.get(path) for path in pair)
    is_new = all(pair.values())
    if not is_old and not is_new and INTENT not in found:
        lost.append(f"one of two files is new and no intent stands: {pair}")
    begun = INTENT in found or not is_old
    coming = [path for path in new if path not in old]
    for path in coming:
        if path.startswith(PROPOSALS) and begun and path not in found:
            lost.append(f"the asset moves and {path} is not there")
        if path.startswith(SNAPSHOTS) and path in found and not is_new:
            lost.append(f"{path} is there before what it tells of")
    return lost


def _differences(wanted: Any, found: Any) -> str:
    """What differs, of two mappings only the entries that do."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        keys = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
        wanted, found = ({key: side.get(key) for key in keys} for side in (wanted, found))
    return f"expected {wanted}, found {found}"


def _document(path: Path) -> dict[str, Any]:
    """The JSON of a file of the pair, without the moments at which its entries changed."""
    found: dict[str, Any] = _without_moments(json.loads(path.read_bytes()))
    return found


def _without_moments(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_moments(item) for key, item in value.items() if key not in _CHANGING}
    return value
