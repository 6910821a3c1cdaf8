"""Bugs in what a click checks, in which order, what it writes and hands back (contract §6), and in how it ends.

The services are `ApplyProfileService` and `ApplyBaselineService`, the handlers theirs (contract §7).
"""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_PROFILE = "worker/services/apply_profile.py"
_SUBMISSION = "worker/services/submission.py"
_STORE = "worker/db/command_store.py"
_REGISTRY = "worker/contracts/commands.py"
_GUARD = "worker/guards/requester.py"
_CLICK = "sim/scenarios/bus/test_double_click.py"
_TWICE = f"{_CLICK}::test_page_clicked_twice_makes_one_command"
_RULES = "sim/scenarios/guards/test_profile_rules.py"
_REFERENCE = "sim/scenarios/bus/test_reference_run.py::test_reference_run_changes_only_the_expected_rows"
_UNIT = "tests/worker/services/test_apply_profile.py"
_BY_NAME = (
    "tests/worker/services/test_given_by_name.py::test_click_and_environment_are_given_by_name_or_not_at_all"
    "[ApplyProfileService.create_dry_run_command]"
)

_CHECKS = (
    one_edit(
        "click given by its place",
        claim="contract §6: click and environment are given by name",
        file=_PROFILE,
        old="        *,\n        exchange_connection_id",
        new="        exchange_connection_id",
        scenario=_BY_NAME,
        says="POSITIONAL_OR_KEYWORD",
    ),
    one_edit(
        "environment is mainnet unless told otherwise",
        claim="contract §6: an absent environment is testnet",
        file=_PROFILE,
        old='        environment: str = "testnet",\n',
        new='        environment: str = "mainnet",\n',
        scenario=_BY_NAME,
        says="'mainnet'",
    ),
    one_edit(
        "absent click is always the same",
        claim="contract §6: an absent click is a new one",
        file=_PROFILE,
        old="        click = click_id or uuid4()",
        new="        click = click_id or UUID(int=0)",
        scenario=f"{_UNIT}::test_two_clicks_make_two_commands",
        says="assert UUID(",
    ),
    one_edit(
        "service works at a stricter isolation",
        claim="contract §6: one READ COMMITTED transaction",
        file=_SUBMISSION,
        old='isolation_level="READ COMMITTED"',
        new='isolation_level="REPEATABLE READ"',
        scenario=f"{_CLICK}::test_click_that_meets_its_twin_before_the_commit_waits_for_it",
        says="could not serialize access",
    ),
    PlantedBug(
        name="person who does not exist may command",
        claim="contract §6: the user exists",
        edits=(
            Edit(file=_GUARD, old="    if role is None:\n", new="    if role is None and user_id < 0:\n"),
            Edit(
                file=_GUARD,
                old="    if role is not UserRole.ADMIN:\n",
                new="    if role not in (None, UserRole.ADMIN):\n",
            ),
        ),
        scenarios=(f"{_RULES}::test_person_who_may_not_command_is_refused[nobody]",),
        says="commands_requested_by_fkey",
    ),
    one_edit(
        "service does not ask whether the profile exists",
        claim="contract §6: the profile exists",
        file=_PROFILE,
        old="    if stored is None:\n",
        new="    if stored is None and not profile:\n",
        scenario=f"{_RULES}::test_unknown_profile_is_refused_by_service_and_worker",
        says="'NoneType' object has no attribute 'status'",
    ),
    one_edit(
        "ranges are judged before the list of keys",
        claim="contract §6: checks, in order",
        file=_PROFILE,
        old="            _require_risk_keys(stored)\n            _require_ranges(stored)\n",
        new="            _require_ranges(stored)\n            _require_risk_keys(stored)\n",
        scenario=f"{_UNIT}::test_layers_say_no_in_their_order",
        says="<Reason.VALUE_OUT_OF_RANGE: 'validation/value_out_of_range'> is <Reason.RISK_NOT_ALLOWED",
    ),
    one_edit(
        "service without the holdings' check",
        claim="contract §6: assets and quantities well-formed",
        file="worker/services/apply_baseline.py",
        old='            refuse(Reason.HOLDINGS_MALFORMED, holdings_problems(pairs), subject="the baseline")\n',
        new="",
        scenario="sim/scenarios/guards/test_small_quantities.py::"
        "test_quantity_with_more_digits_than_a_file_holds_is_refused_by_the_service",
        says="DID NOT RAISE",
    ),
    one_edit(
        "refused click leaves its audit event",
        claim="contract §6: nothing is written when validation fails",
        file=_PROFILE,
        old="            _require_cross_field(stored)\n",
        new="            from worker.db.audit_store import insert_audit_event\n"
        "            from worker.db.session import driver\n\n"
        "            insert_audit_event(\n"
        '                joined, event_type="profile.apply.looked_at", user_id=user, command_id=None, metadata={}\n'
        "            )\n"
        "            driver(joined).commit()\n"
        "            _require_cross_field(stored)\n",
        scenario=f"{_RULES}::test_profile_beyond_a_rule_is_refused_by_service_and_worker[high tier above exposure]",
        says="audit_events",
    ),
    one_edit(
        "scrubber misses a token",
        claim="contract §6: no secret reaches the trail or a log",
        file="worker/guards/secret_texts.py",
        old="    text = _KNOWN_TOKEN.sub(SCRUBBED, text)\n",
        new="",
        scenario="tests/worker/guards/test_secrets.py::test_key_known_by_its_form_is_taken_out_of_a_text",
        says="AKIAIOSFODNN7EXAMPLE",
    ),
)

_WRITTEN = (
    one_edit(
        "request of a profile told under another name",
        claim="contract §6: profile.apply.dry_run_requested",
        file=_REGISTRY,
        old='"profile.apply.dry_run_requested"',
        new='"profile.apply.run_requested"',
        scenario=_TWICE,
        says="profile.apply.run_requested",
    ),
    one_edit(
        "request of a baseline told under another name",
        claim="contract §6: baseline.apply_requested",
        file=_REGISTRY,
        old='"baseline.apply_requested"',
        new='"baseline.requested"',
        scenario=f"{_CLICK}::test_same_holdings_from_two_pages_make_one_baseline_command",
        says="baseline.requested",
    ),
    one_edit(
        "service hands back another command",
        claim="contract §6: it returns the command",
        file=_SUBMISSION,
        old="        command_id=command_id,\n        command_type=command.command_type,\n",
        new="        command_id=CommandId(uuid4()),\n        command_type=command.command_type,\n",
        scenario=_TWICE,
        says="assert UUID(",
    ),
    one_edit(
        "earlier command handed back as a new one",
        claim="contract §6: the winner is marked as not created",
        file=_SUBMISSION,
        old="        created=False,\n",
        new="        created=True,\n",
        scenario=_TWICE,
        says="assert (True, True) == (True, False)",
    ),
    one_edit(
        "loser is not told who won",
        claim="contract §6: ProposalAlreadyDecided names the winner",
        file=_SUBMISSION,
        old='found="used", winner=str(winner.command_id)\n',
        new='found="used"\n',
        scenario=f"{_CLICK}::test_same_click_on_an_edited_profile_is_refused_and_names_the_winner",
        says="assert None == ",
    ),
    one_edit(
        "lost key leaves an audit event",
        claim="contract §6: a lost key writes no row",
        file=_SUBMISSION,
        old="    if winner is not None:\n        return _earlier(",
        new="    if winner is not None:\n"
        "        insert_audit_event(\n"
        "            connection,\n"
        '            event_type="profile.apply.clicked_again",\n'
        "            user_id=draft.requested_by,\n"
        "            command_id=CommandId(winner.command_id),\n"
        "            metadata={},\n"
        "        )\n"
        "        return _earlier(",
        scenario=_TWICE,
        says="profile.apply.clicked_again",
    ),
    one_edit(
        "cancelled command gives its key back",
        claim="contract §6: a key is never reused",
        file=_STORE,
        old="    statement = (\n        insert(commands)\n",
        new="    connection.execute(\n"
        "        update(commands)\n"
        "        .where(commands.c.idempotency_key == command.idempotency_key, commands.c.status == 'cancelled')\n"
        "        .values(idempotency_key=func.concat(commands.c.idempotency_key, ':cancelled'))\n"
        "    )\n"
        "    statement = (\n        insert(commands)\n",
        scenario=f"{_CLICK}::test_page_clicked_again_after_its_command_was_cancelled_does_not_revive_it",
        says="assert (True, UUID(",
    ),
)

_HANDLED = (
    one_edit(
        "dry run says that it would apply",
        claim="contract §7: the result of a dry run",
        file="worker/handlers/apply_profile.py",
        old='"would_apply": False',
        new='"would_apply": True',
        scenario=_REFERENCE,
        says="'would_apply': True",
    ),
    one_edit(
        "success with an error message",
        claim="contract §7: error_message stays NULL",
        file="worker/handlers/outcome.py",
        old="    error_message: str | None = None\n",
        new='    error_message: str | None = ""\n',
        scenario=_REFERENCE,
        says="(<CommandStatus.SUCCEEDED: 'succeeded'>, '')",
    ),
    one_edit(
        "baseline without a snapshot",
        claim="contract §7: write JSON, then the snapshot file",
        file="worker/handlers/apply_baseline.py",
        old="        _snapshot(assignment, lock, before=None if mine else before, after=after)\n",
        new="",
        scenario="tests/worker/handlers/test_baseline_trail.py::test_baseline_tells_the_whole_of_its_change",
        says="FileNotFoundError",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_CHECKS, *_WRITTEN, *_HANDLED)
