"""The cases of the rules about managed holdings and of the MH-4 stop rules: what breaks each, and a clean twin."""

from sim.rules.managed import TEN
from tests.sim.rules.told import COMMAND, command, log, one
from tests.sim.rules.told_managed import (
    APPROVED,
    DOCUMENT,
    FILE,
    MANAGED_STATE,
    OTHER,
    PROPOSAL,
    REJECT,
    REQUEST,
    SNAPSHOT,
    WAY_TO_MANAGED,
    WAY_TO_PROPOSED,
    Tell,
    by_hand,
    clicked,
    decision,
    entry,
    event,
    files_seen,
    history,
    left,
    look,
    rest,
    row,
    rows_written,
    seen,
    spoiled,
    states_read,
    stepped,
    together,
    transactions,
    with_tables,
)

MAINNET = {"environment": "mainnet"}
PAUSE = command(command_type="pause_managed_asset", subject="ETH")

DRIFT = "managed.cache_drift_detected"
REPAIR = history("frozen", "paused", event_type=DRIFT, state_from=None)

_SERVICES: list[tuple[str, Tell, Tell]] = [
    (
        "environment_other_than_testnet",
        with_tables(commands=[command(payload=MAINNET)]),
        with_tables(commands=[command(payload=MAINNET, status="failed")]),
    ),
    ("environment_other_than_testnet", with_tables(commands=[command(**MAINNET)]), with_tables(commands=[command()])),
    # Nothing ran, but a service made it; by hand anybody can.
    (
        "environment_other_than_testnet",
        with_tables(clicked(), commands=[command(payload=MAINNET, status="pending")]),
        with_tables(clicked(), by_hand("bus.tampered"), commands=[command(payload=MAINNET, status="pending")]),
    ),
    ("environment_other_than_testnet", clicked(environment="mainnet"), clicked(environment="testnet")),
    (
        "migration_alters_existing_table",
        stepped(after={"commands": ["column id bigint", "column more text"]}),
        stepped(),
    ),
    ("migration_alters_existing_table", stepped(after={}), stepped(direction="downgrade", after={})),
    ("migration_alters_existing_table", stepped(direction="downgrade", after={"commands": []}), stepped()),
    ("migration_on_mainnet_database", stepped(mark="environment=mainnet"), stepped()),
    ("migration_on_mainnet_database", stepped(mark=""), stepped(mark="environment=testnet")),
    ("migration_on_mainnet_database", stepped(flag="True"), stepped()),
    (
        "decision_without_its_key",
        with_tables(commands=[{**decision(), "idempotency_key": f"mh:approve:{PROPOSAL}"}]),
        with_tables(commands=[decision()]),
    ),
    (
        "decision_without_its_key",
        with_tables(commands=[{**decision(REJECT), "idempotency_key": f"mh:decide:{OTHER}"}]),
        with_tables(by_hand(), commands=[{**decision(REJECT), "idempotency_key": "unchecked:1"}]),
    ),
    (
        "audit_prefix_bleed",
        with_tables(commands=[PAUSE], audit_events=event("profile.asset_pause_requested")),
        with_tables(commands=[PAUSE], audit_events=event("managed.asset_pause_requested")),
    ),
    (
        "audit_prefix_bleed",
        with_tables(commands=[command()], audit_events=event("managed.cache_drift_detected")),
        with_tables(commands=[command()], audit_events=event("profile.apply.dry_run_requested")),
    ),
    (
        "audit_prefix_bleed",
        with_tables(audit_events=event("worker.proposal_expired", command_id=None)),
        with_tables(audit_events=event("managed.proposal_expired", command_id=None)),
    ),
    # The command is gone, by the emergency path; or the event was put there past every service.
    (
        "audit_prefix_bleed",
        with_tables(commands=[PAUSE], audit_events=event("x.y_requested")),
        with_tables(commands=[PAUSE], audit_events=event("x.y_requested", metadata={"unchecked": True})),
    ),
    (
        "audit_prefix_bleed",
        with_tables(commands=[PAUSE], command_audit_log=log(("apply_baseline.applied", "running", "running"))),
        with_tables(commands=[PAUSE], command_audit_log=log(("pause_managed_asset.applied", "running", "running"))),
    ),
    (
        "audit_prefix_bleed",
        with_tables(managed_assets_history=history("frozen", "proposal_pending", event_type="asset_proposed")),
        with_tables(managed_assets_history=history("frozen", "proposal_pending")),
    ),
    (
        "service_calls_engine_or_writer",
        one("operator:day", "service.called", "worker/risk/engine.py:assess", button="request"),
        transactions({}),
    ),
    ("service_outside_one_transaction", transactions({}, {}), transactions({})),
    ("service_outside_one_transaction", transactions({"commits_by_itself": True}), transactions({})),
    ("service_outside_one_transaction", transactions({"isolation": "SERIALIZABLE"}), transactions({"isolation": None})),
    ("service_outside_one_transaction", transactions({"ended": None}), transactions({})),
    ("service_outside_one_transaction", transactions(), transactions(outcome="refused")),
    (
        "service_outside_one_transaction",
        transactions({}, outcome="refused"),
        transactions({"ended": "rollback"}, outcome="refused"),
    ),
    (
        "service_outside_one_transaction",
        rows_written(commands="700", audit_events="701"),
        rows_written(commands="700", audit_events="700", managed_proposals="700"),
    ),
    (
        "hard_confirm_not_exact",
        with_tables(commands=[decision(hard_confirm="eth:balanced")]),
        with_tables(commands=[decision()]),
    ),
    (
        "hard_confirm_not_exact",
        with_tables(by_hand(), commands=[decision(hard_confirm="ETH:Balanced")]),
        with_tables(by_hand(), commands=[{**decision(hard_confirm="ETH:Balanced"), "status": "failed"}]),
    ),
    (
        "hard_confirm_not_exact",
        with_tables(commands=[{**decision(hard_confirm="ETH"), "status": "pending"}]),
        with_tables(commands=[{**decision(), "status": "pending"}]),
    ),
]

_STATES: list[tuple[str, Tell, Tell]] = [
    (
        "state_outside_the_ten",
        with_tables(managed_proposals=[row(state="open")]),
        with_tables(managed_proposals=[row()]),
    ),
    (
        "state_outside_the_ten",
        with_tables(managed_assets_history=history("frozen", "managed")),
        with_tables(managed_assets_history=history("frozen", "paused")),
    ),
    ("state_outside_the_ten", rest(assets={"ETH": entry("Frozen")}), rest()),
    (
        "state_outside_the_ten",
        rest(assets={"ETH": entry("sold")}),
        rest(left(MANAGED_STATE), assets={"ETH": entry("sold")}),
    ),
    ("enum_parity_broken", states_read(*TEN, "sold"), states_read(*TEN)),
    ("enum_parity_broken", states_read(*TEN[1:]), states_read(*reversed(TEN))),
    (
        "enum_parity_broken",
        states_read(),
        together(one("given", "given.constraint_dropped", "managed_proposals_state_check"), states_read()),
    ),
    (
        "illegal_managed_move",
        with_tables(managed_assets_history=history("frozen", "managed_active")),
        with_tables(managed_assets_history=history(*WAY_TO_MANAGED)),
    ),
    (
        "illegal_managed_move",
        with_tables(
            managed_assets_history=[*history("frozen", "proposal_pending"), *history("paused", "managed_active")]
        ),
        with_tables(managed_assets_history=history(*WAY_TO_MANAGED, "paused", "managed_active")),
    ),
    (
        "illegal_managed_move",
        with_tables(
            spoiled("ETH", name="baseline_holdings"), managed_assets_history=history("paused", "managed_active")
        ),
        with_tables(
            spoiled("ETH", name="managed_assets_history"), managed_assets_history=history("paused", "managed_active")
        ),
    ),
    (
        # A repair is told in the trail, of that very asset, and leaves open from where the asset came.
        "illegal_managed_move",
        with_tables(
            managed_assets_history=REPAIR, audit_events=event(DRIFT, command_id=None, metadata={"asset": "BTC"})
        ),
        with_tables(
            managed_assets_history=REPAIR, audit_events=event(DRIFT, command_id=None, metadata={"asset": "ETH"})
        ),
    ),
    (
        "illegal_managed_move",
        with_tables(
            managed_assets_history=history("frozen", "paused", event_type=DRIFT),
            audit_events=event(DRIFT, command_id=None, metadata={"asset": "ETH"}),
        ),
        with_tables(
            managed_assets_history=[*REPAIR, *history("paused", "managed_active")],
            audit_events=event(DRIFT, command_id=None, metadata={"asset": "ETH"}),
        ),
    ),
    ("illegal_managed_move", seen(look("expired"), look("approved")), seen(look("risk_proposed"), look("approved"))),
    ("illegal_managed_move", seen(look("paused")), seen(look("expired"))),
]

_PROPOSALS: list[tuple[str, Tell, Tell]] = [
    ("decided_proposal_changed", seen(look(), look(decided_at="later")), seen(look(), look())),
    ("decided_proposal_changed", seen(look(), None), seen(look("risk_proposed"), None)),
    ("decided_proposal_changed", seen(look(), None), together(spoiled(), seen(look(), None))),
    # The same values once more; a user who was deleted is the foreign key's doing.
    (
        "decided_proposal_changed",
        seen(look(), look(version="701")),
        seen(look(), look(version="701", decided_by_user_id=None)),
    ),
    ("decided_proposal_changed", seen(look(), look(decided_by_user_id=23)), seen(look(), look())),
    (
        "proposal_decided_twice",
        with_tables(
            commands=[decision(), decision(number=2)],
            managed_proposals=[APPROVED],
            managed_assets_history=history(*WAY_TO_MANAGED),
        ),
        with_tables(
            commands=[decision(), {**decision(number=2), "status": "failed"}],
            managed_proposals=[APPROVED],
            managed_assets_history=history(*WAY_TO_MANAGED),
        ),
    ),
    (
        "proposal_decided_twice",
        with_tables(commands=[decision(REJECT)], managed_proposals=[APPROVED], managed_assets_history=[]),
        with_tables(
            commands=[decision(REJECT)],
            managed_proposals=[row(state="rejected", decided_at="x", decision="rejected")],
            managed_assets_history=history(*WAY_TO_PROPOSED, "rejected", "frozen"),
        ),
    ),
    (
        "proposal_decided_twice",
        with_tables(
            commands=[decision()],
            managed_proposals=[APPROVED],
            managed_assets_history=[*history(*WAY_TO_MANAGED), *history("risk_proposed", "expired")],
        ),
        with_tables(
            managed_proposals=[row(state="expired")],
            managed_assets_history=history(*WAY_TO_PROPOSED, "expired", "frozen"),
        ),
    ),
    # A row that nobody decided; unless an operator has taken commands off the bus.
    (
        "proposal_decided_twice",
        with_tables(managed_proposals=[APPROVED]),
        with_tables(one("operator:emergency", "bus.deleted", COMMAND), managed_proposals=[APPROVED]),
    ),
    ("file_written_once_changed", files_seen({FILE: "a"}, {FILE: "b"}), files_seen({FILE: "a"}, {FILE: "a"})),
    ("file_written_once_changed", files_seen({FILE: "a"}, {}), files_seen({}, {FILE: "a"})),
    ("file_written_once_changed", files_seen({FILE: "a"}, {}), together(left(FILE), files_seen({FILE: "a"}, {}))),
    (
        "file_written_once_changed",
        one("worker:w1", "file.audited", FILE, what="file.rename", source="a.py:1"),
        one("worker:w1", "file.audited", FILE, what="file.link", source="a.py:1"),
    ),
    (
        "file_written_once_changed",
        one("worker:w1", "file.audited", SNAPSHOT, what="file.open", source="a.py:1"),
        one("worker:w1", "file.audited", f"state/audit_snapshots/.{COMMAND}.tmp", what="file.open", source="a.py:1"),
    ),
]

RULE = "managed_rows_disagree_with_files"
LEFT_TABLE = "managed_proposals"
MANAGED = history(*WAY_TO_MANAGED)
RUNNING = [{**PAUSE, "status": "running"}]
PENDING_ROW = row(state="proposal_pending", proposal_json=None)
FROZEN = {"ETH": entry("frozen", None)}

_REST: list[tuple[str, Tell, Tell]] = [
    (RULE, rest(managed_assets_history=history(*WAY_TO_MANAGED)), rest()),
    # Of an asset that a command is changing just now nothing is demanded, of another everything.
    (
        RULE,
        rest(managed_assets_history=[], commands=[{**RUNNING[0], "subject": "BTC"}]),
        rest(managed_assets_history=[], commands=RUNNING),
    ),
    (
        RULE,
        rest(
            assets={"ETH": entry("managed_active")},
            frozen=True,
            managed_proposals=[APPROVED],
            managed_assets_history=MANAGED,
        ),
        rest(
            assets={"ETH": entry("managed_active")},
            frozen=False,
            managed_proposals=[APPROVED],
            managed_assets_history=MANAGED,
        ),
    ),
    (RULE, rest(frozen=False), rest(frozen=True)),
    # The row is lost, and the story does not say that it is left so.
    (RULE, rest(managed_proposals=[]), rest(left(LEFT_TABLE), managed_proposals=[])),
    # The asset is frozen again, and its proposal still open.
    (RULE, rest(assets=FROZEN, managed_assets_history=[]), rest()),
    (
        RULE,
        rest(
            assets=FROZEN,
            proposals={},
            managed_assets_history=[],
            managed_proposals=[PENDING_ROW],
        ),
        rest(
            assets=FROZEN,
            proposals={},
            managed_assets_history=[],
            managed_proposals=[PENDING_ROW],
            commands=[command(command_type=REQUEST, subject="ETH", status="failed", payload={"proposal_id": PROPOSAL})],
        ),
    ),
    (RULE, rest(proposals={PROPOSAL: {**DOCUMENT, "asset": "BTC"}}), rest()),
    (RULE, rest(proposals={}), rest(left(FILE), proposals={})),
    (RULE, rest(managed_proposals=[row(expires_at="2026-05-12T10:00:00")]), rest()),
    (RULE, rest(damaged={FILE: "cut short"}, proposals={}, managed_proposals=[row(proposal_json=None)]), rest()),
    (
        RULE,
        rest(assets={}, managed_proposals=[]),
        rest(left(MANAGED_STATE), assets={}, managed_proposals=[], is_readable=False),
    ),
]

MANAGED_CASES: list[tuple[str, Tell, Tell]] = [*_SERVICES, *_STATES, *_PROPOSALS, *_REST]
"""Rule, evidence, clean twin."""
