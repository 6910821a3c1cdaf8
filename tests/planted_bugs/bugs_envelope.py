"""Bugs in what a command is made of: its type, its payload, its checksum, its reason codes (contract §3, §4, §5)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_REGISTRY = "worker/contracts/commands.py"
_PAYLOADS = "worker/contracts/payloads.py"
_JSON = "worker/contracts/canonical_json.py"
_ERRORS = "worker/contracts/errors.py"
_REVISION = "worker/db/migrations/versions/r0001_command_bus.py"
_SCENARIOS = "sim/scenarios"
_SCHEMA = f"{_SCENARIOS}/guards/test_payload_schema.py::test_profile_payload_outside_its_schema_is_refused"
_TESTNET = f"{_SCENARIOS}/guards/test_mainnet_payload.py::test_testnet_payload_runs"
_LIFETIME = f"{_SCENARIOS}/expiry/test_proposal_expiry.py"
_WORDS = "tests/worker/contracts/test_registry.py"
_TEXTS = "tests/worker/contracts/test_canonical_json.py"
_WENT_ON = "<CommandStatus.SUCCEEDED: 'succeeded'>, None"

_TYPES = (
    one_edit(
        "registry leaves out a type",
        claim="contract §4: ten command types",
        file=_REGISTRY,
        old="_BY_NAME = {spec.command_type.value: spec for spec in _SPECS}",
        new="_BY_NAME = {spec.command_type.value: spec for spec in _SPECS[:-1]}",
        scenario=f"{_SCENARIOS}/bus/test_bad_envelope.py::"
        "test_managed_command_that_says_next_to_nothing_is_refused_by_its_handler[dry_run_promote_managed]",
        says="validation/unknown_command_type",
    ),
    one_edit(
        "all profiles are one subject",
        claim="contract §5: the subject of a dry run is its profile's id",
        file=_REGISTRY,
        old="        subject_of=_profile,\n",
        new="        subject_of=_baseline,\n",
        scenario=f"{_TESTNET}",
        says="validation/subject_mismatch",
    ),
    one_edit(
        "a profile's trail under a shorter prefix",
        claim="contract §4: the registry holds each type's audit prefix",
        file=_REGISTRY,
        old='        audit_prefix="profile.apply",\n',
        new='        audit_prefix="profile",\n',
        scenario=f"{_SCENARIOS}/bus/test_cancel.py::test_cancelled_command_never_runs",
        says="profile.command_cancelled",
    ),
    one_edit(
        "resume that lives five minutes",
        claim="contract §4: resume expires after 15 minutes",
        file=_REGISTRY,
        old="        expires_after=timedelta(minutes=15),\n",
        new="        expires_after=timedelta(minutes=5),\n",
        scenario=f"{_LIFETIME}::test_resume_run_a_microsecond_before_its_expiry_takes_effect",
        says="<CommandStatus.EXPIRED: 'expired'>",
    ),
    one_edit(
        "promotion that never expires",
        claim="contract §4: promote expires after 5 minutes",
        file=_REGISTRY,
        old='        "promotion_dry_run_requested",\n        expires_after=timedelta(minutes=5),\n',
        new='        "promotion_dry_run_requested",\n',
        scenario=f"{_LIFETIME}::test_command_with_a_lifetime_of_its_own_never_runs_from_its_expiry_on",
        says="assert None == ",
    ),
    one_edit(
        "pause that expires",
        claim="contract §4: all other commands never expire",
        file=_REGISTRY,
        old='payloads.PauseAsset, "asset_pause_requested")',
        new='payloads.PauseAsset, "asset_pause_requested", expires_after=timedelta(minutes=15))',
        scenario=f"{_LIFETIME}::test_commands_without_a_lifetime_run_however_late",
        says="== [None, None]",
    ),
)

_PAYLOAD = (
    PlantedBug(
        name="unknown payload fields accepted",
        claim="contract §4: the registry holds each type's payload schema",
        edits=(
            Edit(
                file=_PAYLOADS,
                old='[f"unknown field {name[:64]!r}" for name in fields if name not in declared]',
                new="list[str]()",
            ),
            Edit(
                file=_PAYLOADS,
                old="    return msgspec.convert(dict(fields), ",
                new="    return msgspec.convert({name: fields[name] for name in fields if name in declared}, ",
            ),
        ),
        scenarios=(f"{_SCHEMA}[a field too many]",),
        says=_WENT_ON,
    ),
    one_edit(
        "payload may lack its summary",
        claim="contract §5: every payload carries what its type demands",
        file=_PAYLOADS,
        old="    config_summary: dict[str, str]\n",
        new="    config_summary: dict[str, str] = msgspec.field(default_factory=dict)\n",
        scenario=f"{_SCHEMA}[the summary missing]",
        says=_WENT_ON,
    ),
    one_edit(
        "payload may hold numbers as texts",
        claim="contract §4: the registry holds each type's payload schema",
        file=_PAYLOADS,
        old="    risk_settings: dict[str, Number]\n",
        new="    risk_settings: dict[str, Any]\n",
        scenario=f"{_SCHEMA}[the risk settings as texts]",
        says=_WENT_ON,
    ),
    one_edit(
        "checksum of another kind",
        claim="contract §5: checksum is sha256 hex over the canonical payload",
        file=_JSON,
        old="hashlib.sha256(dumps_canonical(signed))",
        new="hashlib.sha3_256(dumps_canonical(signed))",
        scenario="tests/worker/services/test_apply_profile.py::test_reference_payload_comes_out_byte_for_byte",
        says="assert '",
    ),
    one_edit(
        "numbers read as doubles",
        claim="contract §5: payloads are parsed with parse_float=Decimal",
        file=_JSON,
        old="    parse_float=_decimal,",
        new="    parse_float=float,",
        scenario=_TESTNET,
        says="validation/payload_malformed",
    ),
    one_edit(
        "NaN read as a number",
        claim="contract §5: a number that is not finite is refused",
        file=_JSON,
        old=" parse_constant=_refuse_constant,",
        new="",
        scenario=f"{_TEXTS}::test_malformed_text_is_refused",
        says="DID NOT RAISE",
    ),
)

_REASONS = (
    one_edit(
        "reason of no category",
        claim="contract §4: a reason code is category/reason, one of seven categories",
        file=_ERRORS,
        old='"validation/payload_too_large"',
        new='"payload/too_large"',
        scenario=f"{_WORDS}::test_reason_is_category_and_words",
        says="'payload'",
    ),
    one_edit(
        "reason under another name",
        claim="contract §4: the reason codes that it names",
        file=_ERRORS,
        old='"state/profile_version_stale"',
        new='"state/profile_outdated"',
        scenario=f"{_WORDS}::test_reason_of_the_contract_exists[state/profile_version_stale]",
        says="'state/profile_version_stale' is not a valid Reason",
    ),
)


def _schema(name: str, claim: str, old: str, new: str, scenario: str, says: str) -> PlantedBug:
    """A database built from a faulty migration."""
    edit = Edit(file=_REVISION, old=old, new=new)
    return PlantedBug(name=name, claim=claim, edits=(edit,), scenarios=(scenario,), says=says, builds_database=True)


_ROWS = (
    _schema(
        "two commands under one idempotency key let in by the database",
        "contract §3: idempotency_key is unique",
        '        sa.UniqueConstraint("idempotency_key", name="commands_idempotency_key_key"),\n',
        "",
        f"{_SCENARIOS}/bus/test_double_click.py::test_page_clicked_twice_makes_one_command",
        "no unique or exclusion constraint",
    ),
    _schema(
        "log outlives its command",
        "contract §3: the log goes with its command",
        '            ondelete="CASCADE",\n            name="command_audit_log_command_id_fkey",',
        '            name="command_audit_log_command_id_fkey",',
        f"{_SCENARIOS}/bus/test_reference_run.py::test_deleting_a_returned_command_takes_its_log_along",
        "command_audit_log_command_id_fkey",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_TYPES, *_PAYLOAD, *_REASONS, *_ROWS)
