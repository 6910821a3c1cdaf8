"""Bugs in how a payload is read, signed and held against the database (contract §5, §7, §9)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_CHECK = "worker/handlers/payload_check.py"
_PROFILE = "worker/handlers/apply_profile.py"
_BASELINE = "worker/handlers/apply_baseline.py"
_CANONICAL = "worker/contracts/canonical_json.py"
_NETWORK = "worker/guards/network.py"
_DRIFT = "sim/scenarios/bus/test_payload_drift.py"
_MAINNET = "sim/scenarios/guards/test_mainnet_payload.py"
_TAMPERED = "sim/scenarios/guards/test_tampered_payload.py"
_ENVELOPE = "sim/scenarios/bus/test_bad_envelope.py"
_CANNOT_OPEN = f"{_ENVELOPE}::test_payload_that_cannot_be_opened_is_refused_with_two_rows"
_OPEN = "worker/bus/envelope.py"
_RULES = "sim/scenarios/guards/test_profile_rules.py"
_ACCEPTED = f"{_DRIFT}::test_profile_version_under_an_accepted_name_runs"
_NO_VERSION = f"{_DRIFT}::test_profile_version_that_names_none_is_refused"
_BEYOND = f"{_MAINNET}::test_payload_that_reaches_beyond_the_testnet_is_refused"
_ROW = f"{_TAMPERED}::test_row_changed_beside_an_honest_payload_is_refused"
_PAYLOAD_NAMES = 'for name in ("profile_version", "version") if name in fields}'

_VERSION = (
    one_edit(
        "worker reads only the old name of the version",
        claim="contract §5: profile_version is accepted",
        file=_CHECK,
        old=_PAYLOAD_NAMES,
        new='for name in ("version",) if name in fields}',
        scenario=f"{_ACCEPTED}[new name]",
        says="missing_or_bad_version",
    ),
    one_edit(
        "worker reads only the new name of the version",
        claim="contract §5: the older name `version` is accepted",
        file=_CHECK,
        old=_PAYLOAD_NAMES,
        new='for name in ("profile_version",) if name in fields}',
        scenario=f"{_ACCEPTED}[old name]",
        says="missing_or_bad_version",
    ),
    one_edit(
        "unequal versions accepted",
        claim="contract §5: both names and unequal is refused",
        file=_CHECK,
        old=" or any(value != values[0] for value in values):",
        new=":",
        scenario=f"{_NO_VERSION}[both, unequal]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "version true accepted as 1",
        claim="contract §5: a version is a positive integer",
        file=_CHECK,
        old="type(value) is int and value >= 1",
        new="isinstance(value, int) and value >= 1",
        scenario=f"{_NO_VERSION}[true]",
        says="schema_violation",
    ),
    one_edit(
        "version zero accepted",
        claim="contract §5: a version is a positive integer",
        file=_CHECK,
        old="type(value) is int and value >= 1",
        new="type(value) is int and value >= 0",
        scenario=f"{_NO_VERSION}[zero]",
        says="profile_version_stale",
    ),
    one_edit(
        "missing version taken for 1",
        claim="contract §5: a version is required",
        file=_CHECK,
        old="    values = list(named.values())\n",
        new="    values = list(named.values()) or [1]\n",
        scenario=f"{_NO_VERSION}[neither]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "stale profile version accepted",
        claim="contract §7: the handler judges the profile as it stands",
        file=_PROFILE,
        old="if profile.version != version:",
        new="if profile.version < version:",
        scenario=f"{_DRIFT}::test_profile_edited_since_the_click_is_refused_as_stale",
        says="unexpected_failure_reason",
    ),
)

_CHECKSUM = (
    one_edit(
        "checksum not verified",
        claim="contract §5: tampered and not re-summed is refused",
        file=_CHECK,
        old="    if stated != found:",
        new="    if not found:",
        scenario=f"{_TAMPERED}::test_payload_tampered_and_not_summed_again_is_refused[risk raised]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "checksum over decimals as they are spelled",
        claim="contract §5: a Decimal is signed in its shortest form",
        file=_CANONICAL,
        old="    return hashlib.sha256(dumps_canonical(signed)).hexdigest()",
        new="    return hashlib.sha256(json.dumps(signed, sort_keys=True, default=str).encode()).hexdigest()",
        scenario=f"{_TAMPERED}::test_payload_rewritten_with_the_same_content_runs",
        says="checksum_mismatch",
    ),
    one_edit(
        "checksum leaves out who asked",
        claim="contract §5: the checksum covers all but itself and the expiry",
        file=_CANONICAL,
        old='UNSIGNED_KEYS = frozenset({"checksum", "expires_at"})',
        new='UNSIGNED_KEYS = frozenset({"checksum", "expires_at", "requested_by"})',
        scenario=f"{_TAMPERED}::test_payload_tampered_and_not_summed_again_is_refused[another requester]",
        says="requester_mismatch",
    ),
    one_edit(
        "checksum covers the expiry",
        claim="contract §5: the database decides the expiry, so it is not signed",
        file=_CANONICAL,
        old='UNSIGNED_KEYS = frozenset({"checksum", "expires_at"})',
        new='UNSIGNED_KEYS = frozenset({"checksum"})',
        scenario=f"{_TAMPERED}::test_payload_rewritten_with_the_same_content_runs",
        says="checksum_mismatch",
    ),
    one_edit(
        "duplicate keys accepted",
        claim="contract §5: duplicate keys are refused",
        file=_CANONICAL,
        old="    if len(found) < len(pairs):",
        new="    if len(found) > len(pairs):",
        scenario=f"{_CANNOT_OPEN}[duplicate key further down]",
        says="environment_not_testnet",
    ),
    one_edit(
        "numbers beyond fifteen digits accepted",
        claim="contract §5: at most 15 significant digits",
        file=_CANONICAL,
        old="MAX_SIGNIFICANT_DIGITS = 15",
        new="MAX_SIGNIFICANT_DIGITS = 17",
        scenario=f"{_CANNOT_OPEN}[number with too many digits]",
        says="environment_not_testnet",
    ),
    one_edit(
        "Python floats signed",
        claim="contract §5: a float is refused at the entrance",
        file=_CANONICAL,
        old="        case float():\n            raise _malformed(",
        new="        case float():\n            str(",
        scenario="tests/worker/contracts/test_canonical_json.py::test_value_without_one_exact_form_is_refused",
        says="DID NOT RAISE",
    ),
    PlantedBug(
        name="keys sorted by their characters",
        claim="contract §5: canonical form is RFC 8785",
        edits=(
            Edit(
                file=_CANONICAL,
                old="                is_plain &= key.isascii() & _check(",
                new="                is_plain &= _check(",
            ),
            Edit(file=_CANONICAL, old='_ENCODER.encode(value).encode("ascii")', new="_ENCODER.encode(value).encode()"),
        ),
        scenarios=("tests/worker/contracts/test_canonical_json.py::test_keys_are_sorted_by_utf_16_units",),
        says="At index 3 diff",
    ),
)

_ENVELOPES = (
    one_edit(
        "nesting without a bound",
        claim="contract §5: what has no canonical form is refused",
        file=_CANONICAL,
        old="    if depth > MAX_DEPTH:",
        new="    if depth > MAX_DEPTH + 1:",
        scenario=f"{_CANNOT_OPEN}[nested a level too deep]",
        says="environment_not_testnet",
    ),
    one_edit(
        "payload that is no object taken for an empty one",
        claim="contract §4: a broken envelope leaves two rows",
        file=_OPEN,
        old="    fields = parse(command.payload)\n",
        new="    fields = parse(command.payload) or {}\n",
        scenario=f"{_CANNOT_OPEN}[null]",
        says="environment_not_testnet",
    ),
    one_edit(
        "unknown type taken for a defect",
        claim="contract §4: an unknown type leaves two rows",
        file=_OPEN,
        old="    if spec is None:\n",
        new="    if spec is None and not command.command_type:\n",
        scenario=f"{_ENVELOPE}::test_command_of_a_type_nobody_knows_is_refused_with_two_rows[sell_everything]",
        says="(3, <CommandStatus.RUNNING",
    ),
    one_edit(
        "type without a handler put down as done",
        claim="contract §4: a type without a handler fails with a clear reason",
        file="worker/bus/execute.py",
        old="    if handler is None:\n        _write(context, command, refused(_no_handler(command)))\n",
        new="    if handler is None:\n"
        "        _write(context, command, Outcome(status=CommandStatus.SUCCEEDED, result={}))\n",
        scenario="tests/worker/bus/test_execute.py::test_type_that_this_worker_has_no_handler_for_is_refused_by_name",
        says="('succeeded', None) == ('failed'",
    ),
)

_DATABASE_DECIDES = (
    one_edit(
        "handler judges the risk settings of the payload",
        claim="contract §5: the handler reads the profile from the database",
        file=_PROFILE,
        old="            config_keys, risk_keys = _validate(profile)\n",
        new="            import dataclasses\n"
        "            told = {key: Decimal(value) for key, value in payload.risk_settings.items()}\n"
        "            config_keys, risk_keys = _validate(dataclasses.replace(profile, risk_settings=told))\n",
        scenario=f"{_TAMPERED}::test_risk_raised_in_the_database_is_judged_by_the_worker",
        says="unexpected_failure_reason",
    ),
    one_edit(
        "handler judges the config of the payload",
        claim="contract §5: the handler reads the profile from the database",
        file=_PROFILE,
        old="            config_keys, risk_keys = _validate(profile)\n",
        new="            import dataclasses\n"
        "            told = dict(payload.config_summary)\n"
        "            config_keys, risk_keys = _validate(dataclasses.replace(profile, config=told))\n",
        scenario=f"{_RULES}::test_profile_beyond_a_rule_is_refused_by_service_and_worker[log level unknown]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "result tells what the payload says",
        claim="contract §5: the result is computed from the database",
        file=_PROFILE,
        old='"validated_risk_keys_n": risk_keys,',
        new='"validated_risk_keys_n": risk_keys, "max_risk": payload.risk_settings["max_risk_per_trade_pct"],',
        scenario=f"{_TAMPERED}::test_payload_tampered_and_summed_again_reports_what_the_database_holds[risk raised]",
        says="max_risk",
    ),
    one_edit(
        "subject not held against the payload",
        claim="contract §4: a command is about its subject",
        file=_CHECK,
        old="    if subject != command.subject:",
        new="    if not subject:",
        scenario=f"{_ROW}[subject]",
        says="unexpected_failure_reason",
    ),
    one_edit(
        "requester not held against the payload",
        claim="contract §7: the handler trusts nothing",
        file=_CHECK,
        old="    if payload.requested_by != command.requested_by and command.requested_by is not None:",
        new="    if payload.requested_by is None and command.requested_by is not None:",
        scenario=f"{_ROW}[requester]",
        says="unexpected_failure_reason",
    ),
    one_edit(
        "expiry not held against the payload",
        claim="contract §4: a payload expiry that differs is refused",
        file=_CHECK,
        old='    require_expiry_agreement(fields["expires_at"], command.expires_at)\n',
        new="",
        scenario=f"{_ROW}[no expiry]",
        says="unexpected_failure_reason",
    ),
    one_edit(
        "expiry compared to the second only",
        claim="contract §4: a payload expiry that differs is refused",
        file="worker/guards/freshness.py",
        old="    if parsed != row_expires_at:",
        new="    if row_expires_at is None or abs(parsed - row_expires_at) > timedelta(seconds=1):",
        scenario=f"{_ROW}[expiry later by a microsecond]",
        says="unexpected_failure_reason",
    ),
)

_GUARDS = (
    one_edit(
        "environment guarded by a list of wrong ones",
        claim="contract §9: environment is exactly testnet",
        file=_NETWORK,
        old="    if not isinstance(environment, str) or environment != TESTNET:",
        new='    if environment in (None, "mainnet", "production"):',
        scenario=f"{_BEYOND}[environment live]",
        says="schema_violation",
    ),
    one_edit(
        "environment read without case",
        claim="contract §9: environment is exactly testnet",
        file=_NETWORK,
        old="    if not isinstance(environment, str) or environment != TESTNET:",
        new="    if not isinstance(environment, str) or environment.lower() != TESTNET:",
        scenario=f"{_BEYOND}[environment TESTNET]",
        says="schema_violation",
    ),
    one_edit(
        "missing environment taken for testnet",
        claim="contract §9: environment is exactly testnet",
        file=_NETWORK,
        old='    environment = fields.get("environment", _ABSENT)',
        new='    environment = fields.get("environment", TESTNET)',
        scenario=f"{_BEYOND}[environment missing]",
        says="schema_violation",
    ),
    one_edit(
        "dry_run false accepted",
        claim="contract §7: dry_run false is refused",
        file=_NETWORK,
        old='    if fields.get("dry_run") is not True:',
        new='    if fields.get("dry_run") is None:',
        scenario=f"{_BEYOND}[dry_run false]",
        says="schema_violation",
    ),
    one_edit(
        "anything true accepted as dry_run",
        claim="contract §5: dry_run is true",
        file=_NETWORK,
        old='    if fields.get("dry_run") is not True:',
        new='    if not fields.get("dry_run"):',
        scenario=f"{_BEYOND}[dry_run one]",
        says="schema_violation",
    ),
    one_edit(
        "exchange connection accepted",
        claim="contract §9: no command names an exchange connection",
        file=_NETWORK,
        old="    if connection is not None:",
        new='    if connection == "":',
        scenario=f"{_BEYOND}[connection set]",
        says="schema_violation",
    ),
    one_edit(
        "missing exchange connection taken for null",
        claim="contract §5: exchange_connection_id is null",
        file=_NETWORK,
        old='fields.get("exchange_connection_id", _ABSENT)',
        new='fields.get("exchange_connection_id")',
        scenario=f"{_BEYOND}[connection missing]",
        says="schema_violation",
    ),
    one_edit(
        "schema that knows other environments",
        claim="contract §9: the registry schema knows the testnet alone",
        file="worker/contracts/payloads.py",
        old='environment: Annotated[str, msgspec.Meta(pattern=r"\\Atestnet\\Z")]',
        new="environment: str",
        scenario="tests/worker/contracts/test_payloads.py::test_ill_typed_common_field_is_refused_in_every_type",
        says="DID NOT RAISE",
    ),
    one_edit(
        "environment of the row not looked at",
        claim="contract §9: every layer stands by itself",
        file=_CHECK,
        old="    if command.environment != TESTNET:",
        new='    if command.environment == "production":',
        scenario="sim/scenarios/guards/test_row_for_mainnet.py::"
        "test_row_for_another_environment_is_refused_by_the_handler[mainnet]",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "baseline handler without the payload's guards",
        claim="contract §9: every handler has the guard",
        file=_BASELINE,
        old="            payload = check_payload(assignment, ApplyBaseline)\n",
        new="            from worker.contracts.payloads import read_payload\n"
        "            payload = read_payload(ApplyBaseline, assignment.fields)\n",
        scenario=f"{_MAINNET}::test_baseline_for_mainnet_is_refused_and_writes_no_file",
        # The schema behind the guard refuses it too, for a reason that is not the guard's.
        says="<Reason.SCHEMA_VIOLATION: 'validation/schema_violation'> == <Reason.ENVIRONMENT_NOT_TESTNET",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_VERSION, *_CHECKSUM, *_ENVELOPES, *_DATABASE_DECIDES, *_GUARDS)
