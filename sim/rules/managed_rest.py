"""Whether files, cache and history of managed holdings agree at the end of a story. Source: contract §2, §8, §10."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim.rules.breach import Breach, changes_files_now, last, moment, table
from sim.rules.managed import at_rest, left_behind
from sim.rules.mh4 import payload_of
from sim.timeline import Timeline

MANAGED_STATE = "state/managed_state.json"
_INTENT = "state/.intent.json"
_OPEN = frozenset({"proposal_pending", "risk_proposed"})
_MANAGED = frozenset({"managed_active", "paused", "drift_flagged"})
_REQUEST = "request_managed_proposal"


def managed_rows_disagree_with_files(timeline: Timeline) -> Sequence[Breach]:
    """At rest `managed_state.json`, the history, the proposals' rows and the proposal files tell one story."""
    rest = at_rest(timeline)
    left = left_behind(timeline)
    if rest is None or _INTENT in left:
        return []
    under_way = {str(row["subject"]) for row in table(timeline, "commands") if changes_files_now(row)}
    moving = _Moving(subjects=under_way)
    told = [(path, "a file that can be read", problem) for path, problem in rest.detail["damaged"].items()]
    told += list(_files_and_rows(timeline, rest.detail["proposals"], left, moving))
    if MANAGED_STATE not in left and rest.detail["is_readable"]:
        assets = rest.detail["assets"]
        told += list(_history(timeline, assets, moving))
        told += list(_frozen(timeline, assets, moving))
        if "managed_proposals" not in left:
            told += list(_open_proposals(timeline, assets, moving))
    return [
        Breach(rule="managed_rows_disagree_with_files", actor="worker", subject=subject, before=before, after=after)
        for subject, before, after in told
        if subject not in left
    ]


Told = Iterator[tuple[str, str, str]]
"""What disagrees: the thing, what the file says, what the row says."""


class _Moving:
    """The assets that a command is changing just now: of these, files may be ahead of rows."""

    def __init__(self, *, subjects: set[str]) -> None:
        self._subjects = subjects

    def __contains__(self, asset: object) -> bool:
        return asset in self._subjects or "baseline" in self._subjects


def _history(timeline: Timeline, assets: Mapping[str, Any], moving: _Moving) -> Told:
    """Differences between the state of an asset and the end of its history; without a row it is frozen."""
    latest = {row["asset"]: row["state_to"] for row in table(timeline, "managed_assets_history")}
    for asset in sorted({*assets, *latest}):
        state = assets[asset]["state"] if asset in assets else "frozen"
        if asset not in moving and latest.get(asset, "frozen") != state:
            yield f"asset {asset}", f"the file says {state}", f"the history ends in {latest.get(asset, 'nothing')}"


def _frozen(timeline: Timeline, assets: Mapping[str, Any], moving: _Moving) -> Told:
    """Holdings that are frozen while managed, or the reverse, within the two files."""
    rest = last(timeline, "home.at_rest")
    held = rest.detail["baseline"] if rest is not None else {}
    for asset, (_, frozen) in held.items():
        state = assets[asset]["state"] if asset in assets else "absent"
        if asset not in moving and frozen is (state in _MANAGED):
            yield f"asset {asset}", f"the state is {state}", f"the baseline says frozen {frozen}"


def _open_proposals(timeline: Timeline, assets: Mapping[str, Any], moving: _Moving) -> Told:
    """Open proposals that only one side knows, or that the two know differently."""
    rows = {row["proposal_id"]: row for row in table(timeline, "managed_proposals")}
    for asset, entry in assets.items():
        row = rows.get(entry["proposal_id"])
        found = "no row" if row is None else f"{row['state']} for {row['asset']}"
        if entry["state"] in _OPEN and asset not in moving and found != f"{entry['state']} for {asset}":
            yield f"proposal {entry['proposal_id']}", f"the file says {entry['state']} for {asset}", found
    requested = {
        payload_of(row).get("proposal_id")
        for row in table(timeline, "commands")
        if row["command_type"] == _REQUEST and row["status"] == "succeeded"
    }
    for proposal_id, row in rows.items():
        if row["state"] not in _OPEN or row["asset"] in moving:
            continue
        entry = assets.get(row["asset"], {"state": "absent", "proposal_id": None})
        # A request that never came to its file leaves a pending row behind, for the sweep to end.
        is_waiting = row["state"] == "proposal_pending" and proposal_id not in requested
        if not is_waiting and (entry["state"], entry["proposal_id"]) != (row["state"], proposal_id):
            said = f"the file says {entry['state']} under proposal {entry['proposal_id']}"
            yield f"managed_proposals {proposal_id}", said, f"the row says {row['state']} for {row['asset']}"


def _files_and_rows(timeline: Timeline, files: Mapping[str, Any], left: set[str], moving: _Moving) -> Told:
    """Rows whose proposal is another than the one in its file, or that no file backs."""
    for row in table(timeline, "managed_proposals"):
        path = f"state/risk_proposals/{row['proposal_id']}.json"
        if row["proposal_json"] is None or row["asset"] in moving or {path, "managed_proposals"} & left:
            continue
        document = files.get(row["proposal_id"])
        if document != row["proposal_json"]:
            said = "no file" if document is None else "the file holds another document"
            yield f"managed_proposals {row['proposal_id']}", said, "the row holds a proposal"
            continue
        for name in ("generated_at", "expires_at"):
            if moment(row[name]) != moment(document.get(name)):
                said = f"the file says {name} {document.get(name)}"
                yield f"managed_proposals {row['proposal_id']}", said, f"the row says {row[name]}"
