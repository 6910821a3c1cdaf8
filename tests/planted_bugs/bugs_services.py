"""Bugs in what a click writes (contract §4 cancel, §6), and in what the scrubber lets through."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_SUBMISSION = "worker/services/submission.py"
_COMMANDS = "worker/services/commands.py"
_STORE = "worker/db/command_store.py"
_TEXTS = "worker/guards/secret_texts.py"
_NAMES = "worker/guards/secret_names.py"
_BUS = "sim/scenarios/bus"
_CANCEL = f"{_BUS}/test_cancel.py"
_CLICK = f"{_BUS}/test_double_click.py"
_HALF = f"{_BUS}/test_half_written_click.py"
_EXPIRY = "sim/scenarios/expiry/test_command_expiry.py"
_SECRETS = "sim/scenarios/guards/test_secrets.py"
_SUBJECT = f"{_SECRETS}::test_secret_in_a_subject_is_scrubbed_when_its_command_is_cancelled"
_AS_TYPE = f"{_SECRETS}::test_secret_as_a_command_type_reaches_neither_trail_nor_log"
_PENDING_ONLY = "commands.c.status == CommandStatus.PENDING.value)"

_CLICKS = (
    one_edit(
        "service commits the command before its audit event",
        claim="contract §6: one transaction",
        file=_SUBMISSION,
        old="    insert_audit_event(\n",
        new="    driver(connection).commit()\n    insert_audit_event(\n",
        scenario=f"{_HALF}::test_click_cut_before_its_audit_event_leaves_nothing",
        says="assert (1, 1) == (0, 0)",
    ),
    one_edit(
        "service tells no worker",
        claim="contract §4: services pg_notify inside the transaction",
        file=_SUBMISSION,
        old="    notify_workers(connection, command_id)\n",
        new="",
        scenario=f"{_BUS}/test_wake_up.py::test_notification_wakes_an_idle_worker_before_its_poll",
        says="before the next poll",
    ),
    one_edit(
        "idempotency key without the click",
        claim="contract §6: profile:dry_run:<profile_id>:<version>:<click>",
        file="worker/services/apply_profile.py",
        old=":{stored.version}:{click}",
        new=":{stored.version}",
        scenario=f"{_CLICK}::test_two_pages_make_two_commands",
        says="assert (True, False) == (True, True)",
    ),
    one_edit(
        "a new click at each sending",
        claim="contract §6: the page makes the click id",
        file="worker/services/apply_profile.py",
        old="        click = click_id or uuid4()",
        new="        click = uuid4()",
        scenario=f"{_CLICK}::test_page_clicked_twice_makes_one_command",
        says="assert (True, True) == (True, False)",
    ),
    one_edit(
        "winner of a key returned whatever it says",
        claim="contract §6: a winner of other content is ProposalAlreadyDecided",
        file=_SUBMISSION,
        old="    if winner.command_type != command.command_type or winner.checksum != payload_checksum:",
        new="    if winner.command_type != command.command_type:",
        scenario=f"{_CLICK}::test_same_click_on_an_edited_profile_is_refused_and_names_the_winner",
        says="DID NOT RAISE",
    ),
    one_edit(
        "key looked up before the insert, not held by it",
        claim="contract §6: ON CONFLICT (idempotency_key) DO NOTHING",
        file=_STORE,
        old="        .on_conflict_do_nothing(index_elements=[commands.c.idempotency_key])\n",
        new="",
        scenario=f"{_CLICK}::test_page_clicked_twice_makes_one_command",
        says="commands_idempotency_key_key",
    ),
    one_edit(
        "order of holdings makes another baseline",
        claim="contract §6: baseline:apply:<checksum>",
        file="worker/services/apply_baseline.py",
        old="            quantities = dict(sorted(pairs))",
        new="            quantities = dict(pairs)",
        scenario=f"{_CLICK}::test_same_holdings_from_two_pages_make_one_baseline_command",
        says="assert (True, True) == (True, False)",
    ),
    one_edit(
        "standing baseline requested again",
        claim="contract §6: not already applied",
        file="worker/services/apply_baseline.py",
        old="            _require_new(joined, quantities)\n",
        new="",
        scenario=f"{_CLICK}::test_baseline_that_stands_already_is_refused",
        says="DID NOT RAISE",
    ),
    one_edit(
        "command that lives a minute longer",
        claim="contract §4: profile and baseline expire after 5 minutes",
        file="worker/contracts/commands.py",
        old="        payload_type=payloads.ApplyProfile,\n        subject_of=_profile,\n"
        "        expires_after=timedelta(minutes=5),",
        new="        payload_type=payloads.ApplyProfile,\n        subject_of=_profile,\n"
        "        expires_after=timedelta(minutes=6),",
        scenario=f"{_EXPIRY}::test_command_claimed_from_its_expiry_on_never_runs[0:00:00]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.EXPIRED: 'expired'>",
    ),
    one_edit(
        "expiry set by the host's clock",
        claim="contract §4: expiry is set from the database clock",
        file=_STORE,
        old="    return connection.execute(select(func.now() + literal(delay))).scalar_one()",
        new="    from datetime import UTC\n    return datetime.now(UTC) + delay",
        scenario="tests/worker/services/test_submission.py::test_expiry_is_the_registrys_by_the_database_clock",
        says="!= 15",
    ),
)

_FURTHER = (
    one_edit(
        "service without the registry's schema",
        claim="contract §6: nine layers",
        file=_SUBMISSION,
        old="    return read_payload(REGISTRY[draft.command_type].payload_type, fields)",
        new="    import msgspec\n    from decimal import Decimal\n"
        "    known = REGISTRY[draft.command_type].payload_type\n"
        "    fields = {name: value for name, value in fields.items() if name in known.__struct_fields__}\n"
        "    return msgspec.convert(fields, known, builtin_types=(Decimal,))",
        scenario="tests/worker/services/test_submission.py::"
        "test_payload_outside_the_registry_is_refused_and_nothing_is_written[unknown-field]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "worker that never polls",
        claim="contract §4: a poll is the fallback",
        file="worker/bus/loop.py",
        old="[], [], context.poll_s)",
        new="[], [], context.poll_s * 100)",
        scenario=f"{_BUS}/test_wake_up.py::test_command_whose_notification_was_lost_is_found_by_the_poll",
        says="found by the poll",
    ),
)

_CANCELS = (
    one_edit(
        "cancel of a running command",
        claim="contract §4: cancel only while pending",
        file=_STORE,
        old=_PENDING_ONLY,
        new='commands.c.status.in_(("pending", "running")))',
        scenario=f"{_CANCEL}::test_cancel_of_a_running_command_is_refused",
        says="DID NOT RAISE",
    ),
    one_edit(
        "cancel of a claimed command",
        claim="contract §4: cancel only while pending",
        file=_STORE,
        old=_PENDING_ONLY,
        new='commands.c.status.in_(("pending", "claimed")))',
        scenario=f"{_CANCEL}::test_cancel_that_meets_a_claim_under_way_loses_to_it",
        says="isinstance(None, Refusal)",
    ),
    one_edit(
        "cancel twice",
        claim="contract §4: cancel only while pending",
        file=_STORE,
        old=_PENDING_ONLY,
        new='commands.c.status.in_(("pending", "cancelled")))',
        scenario=f"{_CANCEL}::test_second_cancel_is_refused_and_leaves_the_first",
        says="DID NOT RAISE",
    ),
    one_edit(
        "cancel without its audit event",
        claim="contract §4: a cancel leaves one audit event",
        file=_COMMANDS,
        old="            insert_audit_event(\n                joined,\n",
        new="            dict(\n                joined=joined,\n",
        scenario=f"{_CANCEL}::test_cancelled_command_never_runs",
        says="profile.apply.command_cancelled",
    ),
    one_edit(
        "cancel without its log row",
        claim="contract §4: a cancel leaves one log row",
        file=_STORE,
        old="    connection.execute(\n        insert(command_audit_log)",
        new="    str(\n        insert(command_audit_log)",
        scenario=f"{_CANCEL}::test_cancelled_command_never_runs",
        says="cancelled",
    ),
    one_edit(
        "cancel put down to nobody",
        claim="contract §4: the audit event names who cancelled",
        file=_COMMANDS,
        old="                user_id=requested_by,\n",
        new="                user_id=None,\n",
        scenario=f"{_CANCEL}::test_cancelled_command_never_runs",
        says="assert [23, None] == [23, 24]",
    ),
    one_edit(
        "cancel by a viewer",
        claim="contract §6: the user is an admin",
        file=_COMMANDS,
        old="            requested_by = require_admin(joined, user)",
        new="            requested_by = user",
        scenario=f"{_CANCEL}::test_cancel_by_somebody_who_may_not_is_refused[viewer]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "cancel commits its log before the audit event",
        claim="contract §6: one transaction",
        file=_COMMANDS,
        old="            insert_audit_event(\n                joined,\n",
        new="            joined.connection.driver_connection.commit()\n"
        "            insert_audit_event(\n                joined,\n",
        scenario=f"{_HALF}::test_cancel_cut_before_its_audit_event_leaves_the_command_pending",
        says="<CommandStatus.CANCELLED: 'cancelled'> is <CommandStatus.PENDING: 'pending'>",
    ),
)


def _scrubber(name: str, old: str, new: str, scenario: str, *, file: str = _TEXTS, says: str = "hunter2") -> PlantedBug:
    """A scrubber that misses one kind of secret. The rule asks the same scrubber, so the scenario must see it."""
    return one_edit(
        name,
        claim="contract §6: no secret reaches the trail or a log",
        file=file,
        old=old,
        new=new,
        scenario=scenario,
        says=says,
    )


_SECRET_BUGS = (
    _scrubber(
        "scrubber misses a DSN",
        '        text = _URL_PASSWORD.sub(f"{SCRUBBED}@", text)\n',
        "",
        f"{_SUBJECT}[DSN]",
    ),
    _scrubber(
        "scrubber misses assigned values",
        "        text = _without_assigned(text)\n",
        "        pass\n",
        f"{_SUBJECT}[connection string]",
    ),
    _scrubber("scrubber misses a signature", '    "signature",\n', "", f"{_SUBJECT}[signed URL]", file=_NAMES),
    _scrubber("scrubber misses a secret by name", '    "secret",\n', "", f"{_SUBJECT}[key and value]", file=_NAMES),
    _scrubber(
        "error message unscrubbed",
        "error_message=scrub_text(",
        "error_message=str(",
        f"{_AS_TYPE}[key and value]",
        file="worker/handlers/outcome.py",
        says="secret_in_the_trail",
    ),
    _scrubber(
        "log unscrubbed",
        "scrub_text(super().format(record))",
        "(super().format(record))",
        f"{_AS_TYPE}[key and value]",
        file="worker/logs.py",
        says="secret_in_the_trail",
    ),
    _scrubber(
        "request event unscrubbed",
        "    metadata: dict[str, Any] = scrub(\n",
        "    metadata: dict[str, Any] = dict(\n",
        "tests/worker/services/test_submission.py::test_audit_metadata_is_scrubbed",
        file=_SUBMISSION,
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_CLICKS, *_FURTHER, *_CANCELS, *_SECRET_BUGS)
