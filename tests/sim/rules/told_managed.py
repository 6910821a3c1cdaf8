"""What a timeline tells of managed holdings: one asset, proposed and approved; each part sound unless changed."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from sim.timeline import Timeline
from tests.sim.rules.told import AT, COMMAND, audit, command, one, tables

PROPOSAL = "0f0c3c1a-9f39-5a5e-9d3c-0e5f5b0a7a11"
OTHER = "0f0c3c1a-9f39-5a5e-9d3c-0e5f5b0a7a12"
NAIVE = "2026-05-12T09:00:00"
FILE = f"state/risk_proposals/{PROPOSAL}.json"
SNAPSHOT = f"state/audit_snapshots/{COMMAND}.json"
MANAGED_STATE = "state/managed_state.json"
DOCUMENT = {"asset": "ETH", "generated_at": "2026-05-12T09:00:00Z", "expires_at": "2026-05-12T09:00:00Z"}
APPROVE, REJECT, REQUEST = "approve_managed_proposal", "reject_managed_proposal", "request_managed_proposal"

Tell = Callable[[Timeline], None]


def decision(name: str = APPROVE, *, number: int = 1, **changed: Any) -> dict[str, Any]:
    """A command that decided the proposal."""
    further = {"variant": "balanced", "hard_confirm": "ETH:balanced"} if name == APPROVE else {"reason": "no"}
    payload = {"environment": "testnet", "proposal_id": PROPOSAL, "asset": "ETH", **further, **changed}
    return command(
        id=number,
        command_id=f"{COMMAND[:-1]}{number}",
        command_type=name,
        subject="ETH",
        idempotency_key=f"mh:decide:{PROPOSAL}",
        payload=payload,
    )


def row(**changed: Any) -> dict[str, Any]:
    """A row of `managed_proposals`."""
    return {
        "proposal_id": PROPOSAL,
        "asset": "ETH",
        "state": "risk_proposed",
        "proposal_json": DOCUMENT,
        "generated_at": NAIVE,
        "expires_at": NAIVE,
        "decided_at": None,
        "decision": None,
        **changed,
    }


APPROVED = row(state="approved", decided_at=NAIVE, decision="approved")


def history(*states: str, **changed: Any) -> list[dict[str, Any]]:
    """The rows of an asset that went through these states."""
    return [
        {
            "id": number,
            "asset": "ETH",
            "state_from": before,
            "state_to": after,
            "actor": "user:23",
            "event_type": "managed.asset_approval_succeeded",
            "metadata_json": {"proposal_id": PROPOSAL},
            "ts": NAIVE,
            **changed,
        }
        for number, (before, after) in enumerate(pairwise(states), start=1)
    ]


WAY_TO_PROPOSED = ("frozen", "proposal_pending", "risk_proposed")
WAY_TO_MANAGED = (*WAY_TO_PROPOSED, "approved", "managed_active")


def with_tables(*also: Tell, **rows: list[dict[str, Any]]) -> Tell:
    def tell(timeline: Timeline) -> None:
        for other in also:
            other(timeline)
        tables(timeline, **rows)

    return tell


def together(*parts: Tell) -> Tell:
    def tell(timeline: Timeline) -> None:
        for part in parts:
            part(timeline)

    return tell


def left(path: str) -> Tell:
    return one("scenario", "scenario.leaves", path)


def spoiled(subject: str = PROPOSAL, *, name: str = "managed_proposals") -> Tell:
    return one("psql", "cache.changed", subject, table=name, columns=[])


def by_hand(kind: str = "bus.put_unchecked") -> Tell:
    return one("producer", kind, COMMAND)


def entry(state: str = "risk_proposed", proposal_id: str | None = PROPOSAL) -> dict[str, Any]:
    return {"state": state, "proposal_id": proposal_id, "command_id": COMMAND, "terms": None}


def rest(
    *also: Tell,
    assets: Mapping[str, Any] | None = None,
    proposals: Mapping[str, Any] | None = None,
    damaged: Mapping[str, str] | None = None,
    frozen: bool = True,
    is_readable: bool = True,
    **rows: list[dict[str, Any]],
) -> Tell:
    """The end of a story in which ETH has an open proposal."""

    def tell(timeline: Timeline) -> None:
        for other in also:
            other(timeline)
        requested = command(command_type=REQUEST, subject="ETH", payload={"proposal_id": PROPOSAL})
        usual = {
            "commands": [requested],
            "managed_proposals": [row()],
            "managed_assets_history": history(*WAY_TO_PROPOSED),
        }
        tables(timeline, **{**usual, **rows})
        held = {"ETH": ["2", frozen]}
        timeline.record(
            actor="witness",
            kind="home.at_rest",
            subject="state/",
            baseline=held,
            cache=held,
            generations=[1, 1],
            leftovers=[],
            damaged={},
        )
        timeline.record(
            actor="witness",
            kind="managed.at_rest",
            subject=MANAGED_STATE,
            assets={"ETH": entry()} if assets is None else assets,
            proposals={PROPOSAL: DOCUMENT} if proposals is None else proposals,
            damaged=damaged or {},
            is_readable=is_readable,
        )

    return tell


def seen(*rows: Mapping[str, Any] | None) -> Tell:
    """Looks at the proposal's row, one after the other; None for a row that is not there."""

    def tell(timeline: Timeline) -> None:
        for found in rows:
            shown = {} if found is None else {PROPOSAL: found}
            timeline.record(actor="witness", kind="proposals.seen", subject="managed_proposals", rows=shown)

    return tell


def look(state: str = "approved", **changed: Any) -> dict[str, Any]:
    """What one look at the row shows."""
    is_decided = state in ("approved", "rejected")
    return {
        "version": "700",
        "asset": "ETH",
        "state": state,
        "decision": state if is_decided else None,
        "decided_at": NAIVE if is_decided else None,
        "document": "d1",
        "requested_by_user_id": 23,
        "decided_by_user_id": 24,
        **changed,
    }


def files_seen(*looks: Mapping[str, str]) -> Tell:
    """Looks at the files written once: path and content."""

    def tell(timeline: Timeline) -> None:
        for found in looks:
            files = {path: {"sha256": content, "inode": 7, "mtime_ns": 1} for path, content in found.items()}
            timeline.record(actor="witness", kind="written_once.seen", subject="state/", files=files)

    return tell


def stepped(**changed: Any) -> Tell:
    """A step of a migration that made one table beside another."""
    detail = {
        "direction": "upgrade",
        "before": {"commands": ["column id bigint"]},
        "after": {"commands": ["column id bigint"], "new": ["column id bigint"]},
        "mark": "environment=testnet purpose=test",
        "flag": "true",
        **changed,
    }
    return one("migration", "migration.stepped", "0002", **detail)


def transactions(*kinds: Mapping[str, Any], outcome: str = "clicked") -> Tell:
    """The transactions of one click."""
    usual = {"isolation": "READ COMMITTED", "commits_by_itself": False, "ended": "commit", "writes": ["INSERT INTO x"]}
    seen = [{**usual, **kind} for kind in kinds]
    return one("operator:day", "service.transactions", "ETH", button="pause", outcome=outcome, transactions=seen)


def rows_written(**by_table: str) -> Tell:
    return one("operator:day", "click.rows", COMMAND, transactions=by_table)


def clicked(**changed: Any) -> Tell:
    detail = {"button": "pause", "command_id": COMMAND, "created": True, "key": "k", **changed}
    return one("operator:day", "operator.clicked", "ETH", **detail)


def states_read(*states: str, subject: str = "managed_proposals_state_check") -> Tell:
    return one("witness", "states.read", subject, states=list(states))


def event(event_type: str, **changed: Any) -> list[dict[str, Any]]:
    return [audit(event_type=event_type, created_at=AT, **changed)]
