"""Commands good and broken, each with the reason it must end with (None = it succeeds)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from tests.worker.two_implementations.worlds import (
    CONFIG,
    EXPIRES,
    RISK,
    World,
    baseline_payload,
    profile_payload,
    signed,
)
from worker.contracts.canonical_json import dumps_canonical

Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command. `change` alters the payload before it is signed, `spoil` after; `stored` alters the profile."""

    name: str
    reason: str | None = None
    command_type: str = "apply_profile_testnet"
    change: Change = field(default=lambda fields: None)
    spoil: Change = field(default=lambda fields: None)
    text: Callable[[str], str] = field(default=lambda text: text)
    stored: Mapping[str, Any] | None = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)

    def put(self, world: World) -> None:
        """Effects: the command, and a profile of its own, so that no case waits for another."""
        subject = str(uuid5(UUID(int=1), self.name))
        further = profile_payload() | {"profile_id": subject}
        if self.command_type == "apply_baseline_holdings":
            further, subject = baseline_payload(), "baseline"
        elif self.stored is not None:
            world.put_profile(subject, **self.stored)
        self.change(further)
        fields = signed(further)
        self.spoil(fields)
        text = self.text(dumps_canonical(fields).decode())
        world.put(self.name, **{"command_type": self.command_type, "subject": subject, "payload": text, **self.row})


def _set(**values: Any) -> Change:
    return lambda fields: fields.update(values)


def _drop(name: str) -> Change:
    def change(fields: dict[str, Any]) -> None:
        del fields[name]

    return change


def _rename_version(fields: dict[str, Any]) -> None:
    fields["version"] = fields.pop("profile_version")


def _profile(name: str, reason: str | None = None, **rest: Any) -> Case:
    return Case(name=f"profile: {name}", reason=reason, **rest)


def _baseline(name: str, reason: str | None = None, **rest: Any) -> Case:
    return Case(name=f"baseline: {name}", reason=reason, command_type="apply_baseline_holdings", **rest)


def _risk(**values: str) -> dict[str, Any]:
    return {"risk": {**RISK, **values}}


def _holdings(*pairs: tuple[str, Any]) -> Change:
    return _set(holdings=[{"asset": asset, "quantity": quantity} for asset, quantity in pairs])


def _padded(text: str) -> str:
    return text.replace('{"', '{"' + "x" * 65_536 + '":1,"', 1)


def _with_number(literal: str) -> Callable[[str], str]:
    return lambda text: text.replace('"max_open_positions":4', f'"max_open_positions":{literal}')


NUMBERS = tuple(map(Decimal, ("1e-7", "-0.000001", "1e21", "999999999999999e6", "-123456.789012345", "5e-300")))
ENVIRONMENT = "guard/environment_not_testnet"
VERSION = "validation/missing_or_bad_version"
SCHEMA = "validation/schema_violation"
MALFORMED = "validation/payload_malformed"
EXPIRY = "validation/expiry_mismatch"
RANGE = "validation/value_out_of_range"
CROSS = "validation/cross_field_violation"
CONFIGURED = "validation/config_not_allowed"
HOLDINGS = "validation/holdings_malformed"
TAMPERED = "validation/checksum_mismatch"
NOT_ALLOWED = "validation/user_not_allowed"
SECOND = timedelta(seconds=1)

ENVELOPES = (
    Case(name="unknown type", reason="validation/unknown_command_type", row={"command_type": "nonsense"}),
    Case(
        name="type in capitals", reason="validation/unknown_command_type", row={"command_type": "Apply_Profile_Testnet"}
    ),
    _profile("payload is a list", "validation/payload_not_object", text=lambda text: f"[{text}]"),
    _profile("payload is null", "validation/payload_not_object", text=lambda text: "null"),
    _profile("payload is a text", "validation/payload_not_object", text=json.dumps),
    _profile("payload too large", "validation/payload_too_large", text=_padded),
    _profile(
        "payload just small enough",
        SCHEMA,
        text=lambda text: text + " " * (65_536 - len(text.encode())),
        spoil=_set(more=1, checksum=None),
    ),
    _profile("name stands twice", MALFORMED, text=lambda text: text.replace("{", '{"dry_run":true,', 1)),
    _profile(
        "number of 16 digits",
        MALFORMED,
        text=lambda text: text.replace('"max_open_positions":4', '"max_open_positions":1234567890123456'),
    ),
    _profile(
        "number beyond 1e300",
        MALFORMED,
        text=lambda text: text.replace('"max_open_positions":4', '"max_open_positions":1e301'),
    ),
    _profile(
        "nested 33 levels deep",
        MALFORMED,
        text=lambda text: text.replace("{", '{"deep":' + "[" * 33 + "]" * 33 + ",", 1),
    ),
    _profile("half a surrogate pair in a text", MALFORMED, text=lambda text: text.replace("full", "\\ud800")),
    _profile("half a surrogate pair in a name", MALFORMED, text=lambda text: text.replace("log_level", "\\udfff")),
    _profile("exponent beyond all reading", MALFORMED, text=_with_number("0e99999999999999999999")),
    _profile("number of 5,000 digits", MALFORMED, text=_with_number("1" * 5000)),
    _profile("number of 5,000 digits, nearly all zero", MALFORMED, text=_with_number("1" + "0" * 4999)),
    _profile("number of one digit and 17 zeros", change=_set(risk_settings={"x": 10**17})),
    _profile("number of one digit and 25 zeros", change=_set(risk_settings={"x": 10**25})),
    _profile("numbers of every form", change=_set(risk_settings=dict(zip("abcdef", NUMBERS, strict=True)))),
    _profile(
        "number written another way",
        text=lambda text: text.replace("0.005", "5.0E-3").replace('positions":4', 'positions":4.000'),
    ),
)

PAYLOADS = (
    _profile("good"),
    _profile("older name of the version", change=_rename_version),
    _profile("both names of the version", change=_set(version=1)),
    _profile("versions unequal", VERSION, change=_set(version=2)),
    _profile("no version", VERSION, change=_drop("profile_version")),
    _profile("version null beside a good one", VERSION, change=_set(version=None)),
    _profile("version a text", VERSION, change=_set(profile_version="1")),
    _profile("version true", VERSION, change=_set(profile_version=True)),
    _profile("version zero", VERSION, change=_set(profile_version=0)),
    _profile("version a fraction", VERSION, change=_set(profile_version=Decimal("1.5"))),
    _profile("environment mainnet", ENVIRONMENT, change=_set(environment="mainnet")),
    _profile("environment with a space", ENVIRONMENT, change=_set(environment="testnet ")),
    _profile("environment in capitals", ENVIRONMENT, change=_set(environment="TESTNET")),
    _profile("no environment", ENVIRONMENT, spoil=_drop("environment")),
    _profile("no dry run", "guard/dry_run_required", change=_set(dry_run=False)),
    _profile("dry run 1", "guard/dry_run_required", change=_set(dry_run=1)),
    _profile("dry run missing", "guard/dry_run_required", spoil=_drop("dry_run")),
    _profile("connection named", "guard/exchange_connection_not_allowed", change=_set(exchange_connection_id="x")),
    _profile("connection missing", "guard/exchange_connection_not_allowed", spoil=_drop("exchange_connection_id")),
    _profile("guard before checksum", ENVIRONMENT, spoil=_set(environment="mainnet")),
    _profile("tampered", TAMPERED, spoil=_set(requested_by=24)),
    _profile("checksum before version", TAMPERED, spoil=_drop("profile_version")),
    _profile("tampered and signed again", change=_set(risk_settings={"max_open_positions": 50})),
    _profile("checksum missing", SCHEMA, spoil=_drop("checksum")),
    _profile("checksum a number", SCHEMA, spoil=_set(checksum=1)),
    _profile("checksum in capitals", TAMPERED, spoil=lambda fields: fields.update(checksum=fields["checksum"].upper())),
    _profile("unknown field", SCHEMA, change=_set(more=1)),
    _profile("field missing", SCHEMA, change=_drop("config_summary")),
    _profile("profile id no uuid", SCHEMA, change=_set(profile_id="profile")),
    _profile("summary of numbers", SCHEMA, change=_set(config_summary={"log_level": 1})),
    _profile("risk a text", SCHEMA, change=_set(risk_settings={"max_open_positions": "4"})),
    _profile("risk true", SCHEMA, change=_set(risk_settings={"max_open_positions": True})),
    _profile("version before schema", VERSION, change=_set(profile_version=0, more=1)),
    _profile("expiry later than its row's", EXPIRY, row={"expires_at": EXPIRES - SECOND}),
    _profile("expiry of one microsecond later", EXPIRY, row={"expires_at": EXPIRES + timedelta(microseconds=1)}),
    _profile("expiry null", EXPIRY, spoil=_set(expires_at=None)),
    _profile("expiry in the row alone missing", EXPIRY, row={"expires_at": None}),
    _profile("no expiry in both", spoil=_set(expires_at=None), row={"expires_at": None}),
    _profile("expiry with +00:00", spoil=_set(expires_at="2026-05-12T09:05:00+00:00")),
    _profile("expiry in another zone", EXPIRY, spoil=_set(expires_at="2026-05-12T11:05:00+02:00")),
    _profile("expiry no time", EXPIRY, spoil=_set(expires_at="soon")),
    _profile("expiry a number", SCHEMA, spoil=_set(expires_at=1)),
    _profile("expiry missing", SCHEMA, spoil=_drop("expires_at")),
    _profile("schema before expiry", SCHEMA, change=_set(more=1), row={"expires_at": None}),
    _profile("subject of another profile", "validation/subject_mismatch", row={"subject": "another"}),
    _profile("requested by another", "validation/requester_mismatch", change=_set(requested_by=24)),
    _profile("requester deleted since", NOT_ALLOWED, change=_set(requested_by=24), row={"requested_by": None}),
    _profile("requester lost the role since", NOT_ALLOWED, change=_set(requested_by=25), row={"requested_by": 25}),
    _profile("requester who is nobody", NOT_ALLOWED, change=_set(requested_by=None), row={"requested_by": None}),
    _profile("requester null", "validation/requester_mismatch", change=_set(requested_by=None)),
    _profile("text with an escape", change=_set(config_summary={'€\u2028\n"\\\x01😀': "é\x7f"})),
)

STORED = (
    _profile("not there", "state/profile_not_found", stored=None),
    _profile("draft", "state/profile_not_active", stored={"status": "draft"}),
    _profile("archived", "state/profile_not_active", stored={"status": "archived"}),
    _profile("at a later version", "state/profile_version_stale", stored={"version": 2}),
    _profile("not active before stale", "state/profile_not_active", stored={"status": "draft", "version": 2}),
    _profile("config with one key more", CONFIGURED, stored={"config": json.dumps({**CONFIG, "x": 1})}),
    _profile("config with one key less", CONFIGURED, stored={"config": json.dumps({"log_level": "info"})}),
    _profile("config value unknown", CONFIGURED, stored={"config": json.dumps({**CONFIG, "log_level": "loud"})}),
    _profile("config a list", CONFIGURED, stored={"config": "[]"}),
    _profile("config with a name twice", MALFORMED, stored={"config": '{"log_level":"info","log_level":"info"}'}),
    _profile("risk key missing", "validation/risk_not_allowed", stored={"risk": dict(list(RISK.items())[1:])}),
    _profile("risk key unknown", "validation/risk_not_allowed", stored=_risk(more="1")),
    _profile("no risk settings", "validation/risk_not_allowed", stored={"risk": {}}),
    _profile("share of zero", RANGE, stored=_risk(fee_buffer_pct="0")),
    _profile("share above one", RANGE, stored=_risk(cash_reserve_pct="1.000001")),
    _profile("share of one", CROSS, stored=_risk(cash_reserve_pct="1")),
    _profile("share not a number", RANGE, stored=_risk(fee_buffer_pct="NaN")),
    _profile("share infinite", RANGE, stored=_risk(fee_buffer_pct="Infinity")),
    _profile("share of 16 digits", RANGE, stored=_risk(fee_buffer_pct="0.1234567890123456")),
    _profile("no position", RANGE, stored=_risk(max_open_positions="0")),
    _profile("fifty positions", stored=_risk(max_open_positions="50")),
    _profile("fifty-one positions", RANGE, stored=_risk(max_open_positions="51")),
    _profile("half a position", RANGE, stored=_risk(max_open_positions="1.5")),
    _profile("position of 5 USDT", stored=_risk(min_position_value_usdt="5")),
    _profile("position below 5 USDT", RANGE, stored=_risk(min_position_value_usdt="4.99")),
    _profile("tiers equal", CROSS, stored=_risk(tier_low_allocation_pct="0.03")),
    _profile("daily loss above weekly", CROSS, stored=_risk(daily_loss_limit_pct="0.06")),
    _profile("daily loss equal to weekly", stored=_risk(daily_loss_limit_pct="0.05")),
    _profile("risk above daily loss", CROSS, stored=_risk(max_risk_per_trade_pct="0.021")),
    _profile("high tier above exposure", CROSS, stored=_risk(max_total_exposure_pct="0.04")),
    _profile("exposure and reserve above one", CROSS, stored=_risk(cash_reserve_pct="0.8000000000001")),
    _profile("exposure and reserve of one", stored=_risk(cash_reserve_pct="0.8")),
)

BASELINES = (
    _baseline("good"),
    _baseline("again, another amount", change=_holdings(("BTC", Decimal("1.50")))),
    _baseline("amount in one unit of 1e-18", change=_holdings(("BTC", Decimal("1E-18")))),
    _baseline("amount of 1e18", change=_holdings(("BTC", Decimal("1E18")))),
    _baseline("amount with zeros behind", text=lambda text: text.replace("0.5", "0.500")),
    _baseline("amount with an exponent", text=lambda text: text.replace("0.5", "5.00E-1")),
    _baseline("amount with 30 digits behind the point", change=_holdings(("BTC", Decimal("1.234567890123E-18")))),
    _baseline("amount with 31 digits behind it", HOLDINGS, change=_holdings(("BTC", Decimal("1.2345678901234E-18")))),
    _baseline("amount of zero", HOLDINGS, change=_holdings(("BTC", 0))),
    _baseline("amount below zero", HOLDINGS, change=_holdings(("BTC", Decimal("-0.5")))),
    _baseline("amount of 1e19", HOLDINGS, change=_holdings(("BTC", Decimal("1E19")))),
    _baseline("amount of 1e-19", HOLDINGS, change=_holdings(("BTC", Decimal("1E-19")))),
    _baseline("asset twice", HOLDINGS, change=_holdings(("BTC", 1), ("BTC", 2))),
    _baseline("asset in small letters", SCHEMA, change=_holdings(("btc", 1))),
    _baseline("amount a text", SCHEMA, change=_holdings(("BTC", "1"))),
    _baseline("no holding", SCHEMA, change=_set(holdings=[])),
    _baseline("holding with one key more", SCHEMA, change=_set(holdings=[{"asset": "BTC", "quantity": 1, "x": 1}])),
    _baseline("of 500 assets", change=_holdings(*((f"A{number:03}", 1) for number in range(500)))),
    _baseline("of 501 assets", SCHEMA, change=_holdings(*((f"A{number:03}", 1) for number in range(501)))),
    _baseline("tampered", TAMPERED, spoil=_set(requested_by=24)),
    _baseline("requester deleted since", NOT_ALLOWED, row={"requested_by": None}),
    _baseline("requester lost the role since", NOT_ALLOWED, change=_set(requested_by=25), row={"requested_by": 25}),
    _baseline("environment mainnet", ENVIRONMENT, change=_set(environment="mainnet")),
    _baseline("no dry run", "guard/dry_run_required", change=_set(dry_run=False)),
    _baseline("subject of an asset", "validation/subject_mismatch", row={"subject": "BTC"}),
    _baseline("expiry later than its row's", EXPIRY, row={"expires_at": EXPIRES - SECOND}),
    _baseline("payload is a list", "validation/payload_not_object", text=lambda text: f"[{text}]"),
)

CASES = (*ENVELOPES, *PAYLOADS, *STORED, *BASELINES)
