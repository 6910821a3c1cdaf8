"""One bug per rule about managed holdings and per MH-4 stop rule: each makes its rule speak."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_LIFE = "sim/scenarios/approvals/test_life_of_an_asset.py"
_TRAIL = f"{_LIFE}::test_trail_of_a_life_names_each_click_and_what_came_of_it"
_REJECTED = f"{_LIFE}::test_proposal_that_is_rejected_leaves_the_asset_frozen_and_free_for_the_next"
_TYPED = f"{_LIFE}::test_approval_is_typed_letter_by_letter"
_MIGRATIONS = "sim/scenarios/bus/test_migrations.py"
_FLOW = "worker/handlers/managed_flow.py"
_PROPOSALS = "worker/services/proposals.py"
_DRIFT_SERVICE = "worker/services/drift.py"
_FLAGGED_BY_THE_BOT = (
    "sim/scenarios/bus/test_bot_and_managed_assets.py::test_drift_is_flagged_once_and_a_resume_accepts_it"
)
_STATES = "worker/contracts/states.py"
_RELEASED = '    RELEASED = "released"\n'
_ROWS = "            self.write_rows(connection, done)\n"

_SERVICES = (
    PlantedBug(
        name="guard and schema let any environment pass",
        claim="environment_other_than_testnet",
        edits=(
            Edit(
                file="worker/guards/network.py",
                old="    if not isinstance(environment, str) or environment != TESTNET:\n",
                new="    if not isinstance(environment, str):\n",
            ),
            Edit(
                file="worker/contracts/payloads.py",
                old='    environment: Annotated[str, msgspec.Meta(pattern=r"\\Atestnet\\Z")]\n',
                new="    environment: str\n",
            ),
        ),
        scenarios=(
            "sim/scenarios/guards/test_mainnet_payload.py::"
            "test_payload_that_reaches_beyond_the_testnet_is_refused[environment mainnet]",
        ),
        says="environment_other_than_testnet",
    ),
    one_edit(
        "migration alters a table of an earlier phase",
        claim="migration_alters_existing_table",
        file="worker/db/migrations/versions/r0002_managed_holdings.py",
        old='    op.create_index("managed_assets_history_event_type_idx",',
        new='    op.create_index("commands_worker_idx", "commands", ["worker_id"])\n'
        '    op.create_index("managed_assets_history_event_type_idx",',
        scenario=f"{_MIGRATIONS}::test_previewed_sql_makes_the_same_schema",
        says="migration_alters_existing_table",
    ),
    one_edit(
        "migration asks for no mark",
        claim="migration_on_mainnet_database",
        file="worker/db/migrate.py",
        old="        if MARKER not in comment.split():",
        new='        if MARKER not in comment.split() and "mainnet" not in comment:',
        scenario=f"{_MIGRATIONS}::test_database_without_the_testnet_mark_is_left_alone",
        says="migration_on_mainnet_database",
    ),
    one_edit(
        "approval and rejection have a key each",
        claim="decision_without_its_key",
        file=_PROPOSALS,
        old="        key_of=lambda _checksum: _decision_key(proposal.proposal_id),",
        new='        key_of=lambda _checksum: f"mh:{command_type.value}:{proposal.proposal_id}",',
        scenario=_TRAIL,
        says="decision_without_its_key",
    ),
    one_edit(
        "managed outcome under another prefix",
        claim="audit_prefix_bleed",
        file=_FLOW,
        old="""        return f"{REGISTRY[self.command_type].requested_event.removesuffix('_requested')}_{ending}\"""",
        new="""        return f"{self.command_type.value}_{ending}\"""",
        scenario=_REJECTED,
        says="audit_prefix_bleed",
    ),
    one_edit(
        "service asks a writer",
        claim="service_calls_engine_or_writer",
        file=_PROPOSALS,
        old="            name = require_asset_name(asset)\n",
        new="            name = require_asset_name(asset)\n"
        "            from worker.writers.atomic import is_temp\n"
        "            is_temp(name)\n",
        scenario=_REJECTED,
        says="service_calls_engine_or_writer",
    ),
    one_edit(
        "command is committed before its audit event",
        claim="service_outside_one_transaction",
        file="worker/services/submission.py",
        old="    command_id = CommandId(command.command_id)\n    if draft.write_row",
        new="    connection.connection.driver_connection.commit()\n"
        "    command_id = CommandId(command.command_id)\n    if draft.write_row",
        scenario=_REJECTED,
        says="service_outside_one_transaction",
    ),
    one_edit(
        "bot's service asks the risk engine",
        claim="service_calls_engine_or_writer",
        file=_DRIFT_SERVICE,
        old="            key = drift_key(name, evidence)\n",
        new="            key = drift_key(name, evidence)\n"
        "            from worker.risk.usdt import usdt\n"
        '            usdt(evidence.found, rounding="ROUND_DOWN")\n',
        scenario=_FLAGGED_BY_THE_BOT,
        says="service_calls_engine_or_writer",
    ),
    one_edit(
        "bot's service takes two transactions",
        claim="service_outside_one_transaction",
        file=_DRIFT_SERVICE,
        old="            _require_flaggable(joined, name, key)\n",
        new="            with one_transaction(self._engine, None) as own:\n"
        "                _require_flaggable(own, name, key)\n",
        scenario=_FLAGGED_BY_THE_BOT,
        says="service_outside_one_transaction",
    ),
    one_edit(
        "confirmation is taken in any letters",
        claim="hard_confirm_not_exact",
        file="worker/guards/decisions.py",
        old="    if hard_confirm != expected:",
        new="    if hard_confirm.casefold() != expected.casefold():",
        scenario=_TYPED,
        says="hard_confirm_not_exact",
    ),
)

_HOLDINGS = (
    PlantedBug(
        name="pause writes a state of its own into the file",
        claim="state_outside_the_ten",
        edits=(
            Edit(file=_STATES, old=_RELEASED, new=f'{_RELEASED}    HALTED = "halted"\n'),
            Edit(
                file="worker/handlers/pause_resume.py",
                old="            state=path.ends_in,\n",
                new='            state=ManagedState("halted"),\n',
            ),
            Edit(
                file="worker/handlers/pause_resume.py",
                old="from worker.contracts.transitions import AssetPath, require_path\n",
                new="from worker.contracts.states import ManagedState\n"
                "from worker.contracts.transitions import AssetPath, require_path\n",
            ),
        ),
        scenarios=(_TRAIL,),
        says="state_outside_the_ten",
    ),
    one_edit(
        "enum knows an eleventh state",
        claim="enum_parity_broken",
        file=_STATES,
        old=_RELEASED,
        new=f'{_RELEASED}    SOLD = "sold"\n',
        scenario=_REJECTED,
        says="enum_parity_broken",
    ),
    one_edit(
        "release leaves its passing state out",
        claim="illegal_managed_move",
        file="worker/contracts/transitions.py",
        old="RELEASE = AssetPath(begins_in=MANAGED, through=(S.RELEASED, S.FROZEN))",
        new="RELEASE = AssetPath(begins_in=MANAGED, through=(S.FROZEN,))",
        scenario=_TRAIL,
        says="illegal_managed_move",
    ),
    one_edit(
        "each managed command touches the decided rows",
        claim="decided_proposal_changed",
        file=_FLOW,
        old=_ROWS,
        new=f'{_ROWS}            connection.exec_driver_sql("UPDATE managed_proposals SET updated_at = updated_at")\n',
        scenario=_TRAIL,
        says="decided_proposal_changed",
    ),
    one_edit(
        "rejection is recorded as an approval",
        claim="proposal_decided_twice",
        file="worker/handlers/reject_proposal.py",
        old="            decision=ManagedState.REJECTED,\n",
        new="            decision=ManagedState.APPROVED,\n",
        scenario=_REJECTED,
        says="proposal_decided_twice",
    ),
    one_edit(
        "decision marks its proposal's file",
        claim="file_written_once_changed",
        file="worker/handlers/proposal_judgement.py",
        old="    proposal = existing_proposal(assignment.home, proposal_id, asset=standing.asset)\n",
        new="    proposal = existing_proposal(assignment.home, proposal_id, asset=standing.asset)\n"
        "    path = assignment.home.risk_proposal(proposal_id)\n"
        "    path.write_bytes(path.read_bytes())\n",
        scenario=_TRAIL,
        says="file_written_once_changed",
    ),
    one_edit(
        "move leaves no history",
        claim="managed_rows_disagree_with_files",
        file=_FLOW,
        old="            insert_history(connection, history)\n",
        new="            insert_history(connection, history[:0])\n",
        scenario=_REJECTED,
        says="managed_rows_disagree_with_files",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_SERVICES, *_HOLDINGS)
