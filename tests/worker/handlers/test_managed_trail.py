"""All that a managed command leaves to be read later, each whole: log rows, audit event, history and snapshot."""

import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.worker.handlers.asking import TYPES, fields_of
from tests.worker.managed_worlds import ADMIN, PROFILE, World

BEGINS = {
    "request": "frozen",
    "approve": "risk_proposed",
    "reject": "risk_proposed",
    "pause": "managed_active",
    "resume": "drift_flagged",
    "release": "paused",
    "flag drift": "managed_active",
}
ENDS = {
    "request": ["proposal_pending", "risk_proposed"],
    "approve": ["approved", "managed_active"],
    "reject": ["rejected", "frozen"],
    "pause": ["paused"],
    "resume": ["managed_active"],
    "release": ["released", "frozen"],
    "flag drift": ["drift_flagged"],
}
EVENTS = {
    "request": "managed.asset_proposal",
    "approve": "managed.asset_approval",
    "reject": "managed.asset_rejection",
    "pause": "managed.asset_pause",
    "resume": "managed.asset_resume",
    "release": "managed.asset_release",
    "flag drift": "managed.asset_drift_flag",
}
ALSO_SEEN: dict[str, dict[str, Any]] = {
    "request": {"profile_id": str(PROFILE), "profile_version": 1, "market_at": "2026-05-12T09:00:00Z"},
    "approve": {"proposal_expires_at": "2026-05-12T09:15:00Z", "confidence_override": True},
    "reject": {"proposal_expires_at": "2026-05-12T09:15:00Z"},
    "pause": {},
    "resume": {},
    "release": {"strategy": "return_to_baseline"},
    "flag drift": {"expected": "2", "found": "1.5", "evidence_generation": 1},
}
NAMES_PROPOSAL: dict[str, tuple[str, ...]] = dict.fromkeys(("request", "approve", "reject"), ("proposal_id",))
USER = {verb: None if verb == "flag drift" else ADMIN for verb in TYPES}
ACTOR = {verb: "bot" if verb == "flag drift" else f"user:{ADMIN}" for verb in TYPES}


def standing(world: World) -> dict[str, Any]:
    """What the two files say of ETH, and which files they are."""
    entry, holding = world.entry("ETH"), world.holding("ETH")
    return {
        "generation": world.generations()[0],
        "baseline_sha256": hashlib.sha256(world.home.baseline_holdings.read_bytes()).hexdigest(),
        "managed_state_sha256": hashlib.sha256(world.home.managed_state.read_bytes()).hexdigest(),
        "state": entry["state"],
        "changed_by": entry["command_id"],
        "proposal_id": entry["proposal_id"],
        "terms": entry.get("terms"),
        "quantity": holding["quantity"],
        "frozen": holding["frozen"],
    }


@pytest.mark.parametrize("verb", TYPES)
def test_command_that_succeeds_tells_the_whole_of_its_change(world: World, verb: str) -> None:
    proposal_id = world.bring_to(BEGINS[verb]) or uuid4()
    before = standing(world)
    command_id = world.put(TYPES[verb], user=USER[verb], **fields_of(verb, proposal_id))
    world.run()
    after = standing(world)

    told = {
        "asset": "ETH",
        "state": ENDS[verb][-1],
        "state_from": BEGINS[verb],
        "generation": before["generation"] + 1,
        **dict.fromkeys(NAMES_PROPOSAL.get(verb, ()), str(proposal_id)),
    }
    log = world.rows("SELECT * FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
    assert [(row["event_type"], row["status_from"], row["status_to"]) for row in log] == [
        ("started", "claimed", "running"),
        (f"{TYPES[verb]}.applied", "running", "running"),
        ("result_written", "running", "succeeded"),
    ]
    assert log[1]["detail"] == told
    event = world.rows("SELECT * FROM audit_events WHERE command_id = %s ORDER BY id", command_id)[-1]
    assert (event["event_type"], event["user_id"]) == (f"{EVENTS[verb]}_succeeded", USER[verb])
    assert event["metadata"] == told
    history = world.rows("SELECT * FROM managed_assets_history ORDER BY ts, id")[-len(ENDS[verb]) :]
    assert [(row["state_from"], row["state_to"]) for row in history] == list(
        zip([BEGINS[verb], *ENDS[verb]], ENDS[verb], strict=False)
    )
    for row in history:
        assert (row["asset"], row["actor"], row["event_type"]) == ("ETH", ACTOR[verb], event["event_type"])
        assert row["metadata_json"] == {**told, "command_id": str(command_id)}
    assert json.loads(world.home.audit_snapshot(command_id).read_text()) == {
        "schema_version": 1,
        "command_id": str(command_id),
        "command_type": TYPES[verb],
        "at": "2026-05-12T09:00:00Z",
        "seen": {**before, **ALSO_SEEN[verb]},
        "did": after,
    }


@pytest.mark.parametrize("verb", TYPES)
def test_command_that_is_refused_tells_the_reason_and_leaves_no_snapshot(world: World, verb: str) -> None:
    reason = "guard/dry_run_required"
    command_id = world.put(TYPES[verb], user=USER[verb], **{**fields_of(verb, uuid4()), "dry_run": False})
    world.run()

    log = world.rows("SELECT * FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
    assert [(row["event_type"], row["status_to"], row["detail"]) for row in log[1:]] == [
        (f"{TYPES[verb]}.rejected", "running", {"reason": reason}),
        ("result_written", "failed", None),
    ]
    (event,) = world.rows("SELECT * FROM audit_events WHERE command_id = %s", command_id)
    assert (event["event_type"], event["user_id"]) == (f"{EVENTS[verb]}_failed", USER[verb])
    assert event["metadata"] == {"asset": "ETH", "reason": reason}
    assert not world.home.audit_snapshot(command_id).exists()
