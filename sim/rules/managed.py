"""What holds for managed holdings: their states and moves, their proposals, and what files and rows say of them.

Source: contract §3, §8, §10 (SR-9, SR-10, and the last sentence).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.rules.breach import Breach, moment, table
from sim.rules.mh4 import APPROVE, REJECT, payload_of
from sim.timeline import Event, Timeline
from worker.contracts.states import ManagedState
from worker.contracts.transitions import ASSET_MOVES, PROPOSAL_MOVES, PROPOSAL_STATES

TEN = (
    "approved",
    "drift_flagged",
    "expired",
    "frozen",
    "managed_active",
    "paused",
    "proposal_pending",
    "rejected",
    "released",
    "risk_proposed",
)
"""The ten states as the contract names them: what code, database and files are held against."""

_DECISIONS: Mapping[str, str] = {APPROVE: "approved", REJECT: "rejected"}
_ASSET_MOVES = frozenset((before.value, after.value) for before, after in ASSET_MOVES)
_USERS = frozenset({"requested_by_user_id", "decided_by_user_id"})
_HISTORY, _PROPOSALS = "managed_assets_history", "managed_proposals"
_DRIFT = "managed.cache_drift_detected"
_ENDINGS = frozenset({"approved", "rejected", "expired"})


def state_outside_the_ten(timeline: Timeline) -> Sequence[Breach]:
    """SR-9: every state in the rows, the history and `managed_state.json` is one of the ten."""
    found = [(f"managed_proposals {row['proposal_id']}", row["state"]) for row in table(timeline, "managed_proposals")]
    for row in table(timeline, "managed_assets_history"):
        found.append((f"managed_assets_history {row['id']}, from", row["state_from"] or TEN[0]))
        found.append((f"managed_assets_history {row['id']}, to", row["state_to"]))
    left = left_behind(timeline)
    for event in timeline.of_kind("managed.at_rest"):
        if event.subject not in left:
            found += [(f"{event.subject}, {asset}", entry["state"]) for asset, entry in event.detail["assets"].items()]
    return [
        Breach(
            rule="state_outside_the_ten", actor="a worker", subject=subject, before="one of the ten", after=repr(state)
        )
        for subject, state in found
        if state not in TEN
    ]


def enum_parity_broken(timeline: Timeline) -> Sequence[Breach]:
    """SR-10: enum, reader and each CHECK constraint know the same ten states, no more and no fewer."""
    dropped = {event.subject for event in timeline.of_kind("given.constraint_dropped")}
    return [
        Breach(
            rule="enum_parity_broken",
            actor="the code",
            subject=event.subject,
            before=f"lacks {', '.join(sorted(set(TEN) - known)) or 'nothing'}",
            after=f"knows also {', '.join(sorted(known - set(TEN))) or 'nothing'}",
        )
        for event in timeline.of_kind("states.read")
        if event.subject not in dropped and (known := set(event.detail["states"])) != set(TEN)
    ]


def illegal_managed_move(timeline: Timeline) -> Sequence[Breach]:
    """The history of each asset is one chain of allowed moves from frozen on; a proposal's row moves as allowed too."""
    touched = story_changed(timeline, _HISTORY) | story_changed(timeline, _PROPOSALS)
    repaired = _told_drifted(timeline)
    breaches: list[Breach] = []
    stands: dict[str, str] = {}
    for row in table(timeline, "managed_assets_history"):
        asset = row["asset"]
        expected = stands.get(asset, "frozen")
        # A retry that can no longer know from where its first attempt moved the asset leaves it open.
        move = (row["state_from"] or expected, row["state_to"])
        # A repair says where the asset stands, and not how it came there.
        is_repair = row["event_type"] == _DRIFT and row["state_from"] is None and asset in repaired
        if is_repair:
            stands[asset] = row["state_to"]
            continue
        if asset not in touched and (move[0] != expected or move not in _ASSET_MOVES):
            breaches.append(
                _move(f"managed_assets_history {row['id']} ({asset})", str(row["actor"]), expected, move, row["ts"])
            )
        stands[asset] = row["state_to"]
    states: dict[str, str] = {}
    for event in timeline.of_kind("proposals.seen"):
        for proposal_id, row in event.detail["rows"].items():
            before, after = states.get(proposal_id, "proposal_pending"), row["state"]
            if proposal_id not in touched and not _is_reachable(before, after):
                breaches.append(_move(f"proposal {proposal_id}", "a worker", before, (before, after), None))
            states[proposal_id] = after
    return breaches


def decided_proposal_changed(timeline: Timeline) -> Sequence[Breach]:
    """A proposal's row with `decided_at` set is never written again, but for a user that is gone."""
    touched = story_changed(timeline, _PROPOSALS)
    breaches: list[Breach] = []
    decided: dict[str, Mapping[str, Any]] = {}
    for event in timeline.of_kind("proposals.seen"):
        rows = event.detail["rows"]
        for proposal_id, before in decided.items():
            after = rows.get(proposal_id)
            problem = "the row is gone" if after is None else _rewritten(before, after)
            if problem is not None and proposal_id not in touched:
                breaches.append(
                    Breach(
                        rule="decided_proposal_changed",
                        actor="a service or a worker",
                        subject=f"managed_proposals {proposal_id}",
                        before=f"{before['decision']} at {before['decided_at']}",
                        after=problem,
                        at=event.at,
                    )
                )
        decided = {key: row for key, row in rows.items() if row["decided_at"] is not None}
    return breaches


def proposal_decided_twice(timeline: Timeline) -> Sequence[Breach]:
    """A proposal has one ending: one command that succeeded, one row in the history, and a decision that agrees."""
    winners: dict[str, list[str]] = {}
    for row in table(timeline, "commands"):
        if row["command_type"] in _DECISIONS and row["status"] == "succeeded":
            winners.setdefault(str(payload_of(row).get("proposal_id")), []).append(row["command_type"])
    endings: dict[str, list[str]] = {}
    for row in table(timeline, "managed_assets_history"):
        metadata = row["metadata_json"] if isinstance(row["metadata_json"], dict) else {}
        if row["state_to"] in _ENDINGS and "proposal_id" in metadata:
            endings.setdefault(metadata["proposal_id"], []).append(row["state_to"])
    rows = {row["proposal_id"]: row for row in table(timeline, "managed_proposals")}
    spoiled = story_changed(timeline, _HISTORY)
    excused = story_changed(timeline, _PROPOSALS) | {key for key, row in rows.items() if row["asset"] in spoiled}
    excused |= {*rows, *winners, *endings} if timeline.of_kind("bus.deleted") else set()
    breaches = []
    for proposal_id in sorted({*winners, *endings, *rows} - excused):
        by_command = [_DECISIONS[name] for name in winners.get(proposal_id, [])]
        in_history = endings.get(proposal_id, [])
        decision = rows[proposal_id]["decision"] if proposal_id in rows else None
        by_history = [ending for ending in in_history if ending != "expired"]
        is_one = len(by_command) <= 1 and len(in_history) <= 1
        if not is_one or not by_command == by_history == ([] if decision is None else [decision]):
            breaches.append(
                Breach(
                    rule="proposal_decided_twice",
                    actor="workers",
                    subject=f"proposal {proposal_id}",
                    before="one ending, the same in commands, history and row",
                    after=f"commands {by_command}, history {in_history}, row {decision}",
                )
            )
    return breaches


def file_written_once_changed(timeline: Timeline) -> Sequence[Breach]:
    """A proposal file or an audit snapshot, once it has its name, is never written, replaced or removed."""
    left = left_behind(timeline)
    known: dict[str, Mapping[str, Any]] = {}
    changed: dict[str, tuple[str, str, str]] = {}
    for event in timeline.of_kind("written_once.seen"):
        files = event.detail["files"]
        for path, before in known.items():
            if files.get(path) != before:
                after = "gone" if path not in files else _file_text(files[path])
                changed.setdefault(path, ("somebody", _file_text(before), after))
        known = {**known, **files}
    for event in timeline.of_kind("file.audited"):
        # A link gives a whole file its name; every other act is done to a file that has one already.
        if is_written_once(event.subject) and event.detail["what"] != "file.link":
            told = (event.actor, "written beside it and linked", f"{event.detail['what']} at {event.detail['source']}")
            changed.setdefault(event.subject, told)
    return [
        Breach(rule="file_written_once_changed", actor=actor, subject=path, before=before, after=after)
        for path, (actor, before, after) in changed.items()
        if path not in left
    ]


def left_behind(timeline: Timeline) -> set[str]:
    """What the story has, on purpose, damaged or left half done."""
    return {event.subject for event in timeline.of_kind("scenario.leaves")}


def story_changed(timeline: Timeline, name: str) -> set[str]:
    """The proposals or assets whose rows in table `name` the story itself changed, past every service and worker."""
    return {event.subject for event in timeline.of_kind("cache.changed") if event.detail["table"] == name}


def is_written_once(path: str) -> bool:
    """Whether `path` is the name of a proposal or a snapshot; their temporary files begin with a dot."""
    folder, _, name = path.rpartition("/")
    return folder in ("state/risk_proposals", "state/audit_snapshots") and name[:1] not in ("", ".")


def _told_drifted(timeline: Timeline) -> set[str]:
    """The assets of which the trail says that their rows had drifted from the files."""
    told = [row["metadata"] for row in table(timeline, "audit_events") if row["event_type"] == _DRIFT]
    return {str(metadata.get("asset")) for metadata in told if isinstance(metadata, dict)}


def _rewritten(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """What of a decided row is another; None when nothing is, or only users are gone."""
    differing = [name for name in before if name not in ("version", *_USERS) and after.get(name) != before[name]]
    users = [name for name in sorted(_USERS) if after.get(name) != before[name]]
    differing += [name for name in users if after.get(name) is not None]
    if differing:
        return "; ".join(f"{name}: {before[name]} became {after.get(name)}" for name in differing[:3])
    if not users and after["version"] != before["version"]:
        return f"written again with the same values (row version {before['version']} became {after['version']})"
    return None


def _is_reachable(before: str, after: str) -> bool:
    """Whether allowed moves, perhaps none, lead from one state of a proposal to another."""
    if after not in PROPOSAL_STATES:
        return False
    reached: set[str] = {before}
    for _ in ManagedState:
        reached |= {to.value for come_from, to in PROPOSAL_MOVES if come_from.value in reached}
    return after in reached


def _move(subject: str, actor: str, expected: str, move: Iterable[object], at: object) -> Breach:
    return Breach(
        rule="illegal_managed_move",
        actor=actor,
        subject=subject,
        before=f"{expected}, and an allowed move",
        after=" to ".join(map(str, move)),
        at=moment(at),
    )


def _file_text(file: Mapping[str, Any]) -> str:
    return f"{str(file['sha256'])[:12]}, inode {file['inode']}, written {file['mtime_ns']}"


def at_rest(timeline: Timeline) -> Event | None:
    """What the home held of managed holdings when the story was over."""
    events = timeline.of_kind("managed.at_rest")
    return events[-1] if events else None
