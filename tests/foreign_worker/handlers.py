"""What the two command types do once their payload was checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.foreign_worker import bus
from tests.foreign_worker.bus import Command, Ending
from tests.foreign_worker.canonical import MAX_DIGITS, Refused, read_json, significant_digits
from tests.foreign_worker.documents import quantity_text, time_text
from tests.foreign_worker.files import Pair, change_both, read_pair, write_snapshot
from tests.foreign_worker.payloads import (
    BASELINE_FIELDS,
    PROFILE_FIELDS,
    Job,
    check_payload,
    profile_version,
    require_unexpired,
)

PROFILE, BASELINE = "apply_profile_testnet", "apply_baseline_holdings"

CONFIG = {
    "log_level": ("debug", "info", "warning", "error"),
    "decision_log_verbosity": ("minimal", "normal", "full"),
}
SHARES = (
    "max_risk_per_trade_pct",
    "max_total_exposure_pct",
    "daily_loss_limit_pct",
    "weekly_loss_limit_pct",
    "tier_low_allocation_pct",
    "tier_mid_allocation_pct",
    "tier_high_allocation_pct",
    "cash_reserve_pct",
    "fee_buffer_pct",
)
RISK = {*SHARES, "max_open_positions", "min_position_value_usdt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """`run` ends a command or raises `Refused`; `rows_of_failure` are its own rows when it was refused or given up."""

    run: Callable[[Job], Ending]
    rows_of_failure: Callable[[str], Mapping[str, Any]]
    changes_files: bool


def failed(refused: Refused, handler: Handler | None) -> Ending:
    """The ending of a command that a rule refused, or that was given up."""
    rows = handler.rows_of_failure(refused.reason) if handler else {}
    result = {"ok": False, "reason": refused.reason}
    return Ending(status="failed", result=result, error_message=str(refused).replace("\0", "?"), **rows)


def is_applied(home: Path, command: Command) -> bool:
    """True when the baseline on disk is this command's. Call it under the home lock."""
    return _is_mine(read_pair(home), command)


def _is_mine(pair: Pair, command: Command) -> bool:
    return pair.baseline is not None and UUID(pair.baseline["command_id"]) == command.command_id


def run_profile(job: Job) -> Ending:
    """The dry run of a profile: judged against the database of this moment; nothing is changed.

    Raises: `Refused`.
    """
    check_payload(job, PROFILE_FIELDS, lambda fields: str(UUID(fields["profile_id"])))
    require_unexpired(job.now, job.command)
    profile_id = UUID(job.fields["profile_id"])
    found = bus.read_profile(job.connection, profile_id, job.command.requested_by)
    if found is None:
        raise Refused("state/profile_not_found", f"profile {profile_id} does not exist")
    version, status, config_text, risk_texts, read_at, role = found
    config = read_json(config_text)
    require_unexpired(read_at, job.command)
    _require_admin(role)
    if status != "active":
        raise Refused("state/profile_not_active", f"profile {profile_id} is {status}")
    if version != profile_version(job.fields):
        raise Refused("state/profile_version_stale", f"profile {profile_id} is at version {version}")
    _require_config(config)
    _require_risk({key: Decimal(value) for key, value in risk_texts.items()})
    result = {
        "ok": True,
        "dry_run": True,
        "validated": True,
        "profile_id": str(profile_id),
        "version": version,
        "validated_summary_keys_n": len(config),
        "validated_risk_keys_n": len(risk_texts),
        "would_apply": False,
        "runtime_mutation": False,
        "handler_phase": "G10-3b",
    }
    rows = (("apply_profile_testnet.dry_run_started", None), ("apply_profile_testnet.dry_run_succeeded", None))
    return Ending(status="succeeded", result=result, log_rows=rows)


def _require_admin(role: str | None) -> None:
    if role != "admin":
        raise Refused("validation/user_not_allowed", f"requested by {'nobody' if role is None else f'a {role}'}")


def _profile_failure(reason: str) -> Mapping[str, Any]:
    rejected = ("apply_profile_testnet.dry_run_rejected", {"reason": reason})
    return {"log_rows": (("apply_profile_testnet.dry_run_started", None), rejected)}


def _require_config(config: Any) -> None:
    # A value outside its closed list is refused here, so no secret can stand in a config that passes.
    if not isinstance(config, dict) or config.keys() != CONFIG.keys():
        raise Refused("validation/config_not_allowed", f"config must have exactly the keys {', '.join(sorted(CONFIG))}")
    if not all(isinstance(config[key], str) and config[key] in allowed for key, allowed in CONFIG.items()):
        raise Refused("validation/config_not_allowed", "a config value is not in its closed list")


def _require_risk(risk: Mapping[str, Decimal]) -> None:
    if risk.keys() != RISK:
        raise Refused("validation/risk_not_allowed", "risk settings must have exactly the eleven keys")
    bad = [key for key, value in risk.items() if not _is_exact(value) or not _is_in_range(key, value)]
    if bad:
        raise Refused("validation/value_out_of_range", f"out of range: {', '.join(sorted(bad))}")
    value = {key: Fraction(number) for key, number in risk.items()}
    holds = (
        value["tier_low_allocation_pct"] < value["tier_mid_allocation_pct"] < value["tier_high_allocation_pct"]
        and value["daily_loss_limit_pct"] <= value["weekly_loss_limit_pct"]
        and value["max_risk_per_trade_pct"] <= value["daily_loss_limit_pct"]
        and value["tier_high_allocation_pct"] <= value["max_total_exposure_pct"]
        and value["max_total_exposure_pct"] + value["cash_reserve_pct"] <= 1
    )
    if not holds:
        raise Refused("validation/cross_field_violation", "risk settings contradict each other")


def _is_exact(number: Decimal) -> bool:
    return number.is_finite() and abs(number.adjusted()) <= 300 and significant_digits(number) <= MAX_DIGITS


def _is_in_range(key: str, number: Decimal) -> bool:
    if key == "max_open_positions":
        return number == number.to_integral_value() and 1 <= number <= 50
    return number >= 5 if key == "min_position_value_usdt" else 0 < number <= 1


def run_baseline(job: Job) -> Ending:
    """Both files changed together, every asset frozen; a change that an earlier attempt made is only finished.

    Raises: `Refused` before anything is touched; `Transient`.
    """
    check_payload(job, BASELINE_FIELDS, lambda _: "baseline")
    holdings = {holding["asset"]: Decimal(holding["quantity"]) for holding in job.fields["holdings"]}
    if len(holdings) != len(job.fields["holdings"]) or not all(map(_is_quantity, holdings.values())):
        raise Refused("validation/holdings_malformed", "an asset stands twice, or a quantity is out of bounds")
    before = read_pair(job.home)
    is_retry = _is_mine(before, job.command)
    if not is_retry:
        require_unexpired(job.now, job.command)
        _require_admin(bus.read_role(job.connection, job.command.requested_by))
        managed = before.managed["assets"] if before.managed else {}
        if any(entry["state"] != "frozen" for entry in managed.values()):
            raise Refused("state/asset_not_frozen", "an asset is under management; release it first")
    after = before if is_retry else _write_baseline(job, before, holdings)
    _write_baseline_snapshot(job, None if is_retry else before, after)
    return _baseline_succeeded(after, is_retry=is_retry)


def _is_quantity(number: Decimal) -> bool:
    if not (number > 0 and abs(number.adjusted()) <= 18 and significant_digits(number) <= MAX_DIGITS):
        return False
    return significant_digits(number) - 1 - number.adjusted() <= 30


def _write_baseline(job: Job, before: Pair, holdings: Mapping[str, Decimal]) -> Pair:
    command_id, at = str(job.command.command_id), time_text(job.now)
    head = {"schema_version": 1, "generation": before.generation + 1}
    baseline = head | {
        "recorded_at": at,
        "command_id": command_id,
        "holdings": {
            asset: {"quantity": quantity_text(held), "frozen": True, "recorded_at": at, "command_id": command_id}
            for asset, held in holdings.items()
        },
    }
    entry = {"state": "frozen", "changed_at": at, "command_id": command_id, "proposal_id": None}
    managed = head | {"assets": dict.fromkeys(holdings, entry)}
    command = job.command
    return change_both(job.home, before, (baseline, managed), command_id=command.command_id, attempt=command.attempt)


def _write_baseline_snapshot(job: Job, before: Pair | None, after: Pair) -> None:
    document = {
        "schema_version": 1,
        "command_id": str(job.command.command_id),
        "command_type": BASELINE,
        "at": time_text(job.now),
        "seen": _hashes(before) if before else {"earlier_attempt": True},
        "did": _hashes(after),
    }
    write_snapshot(job.home, document, owner=f"{job.command.command_id}-{job.command.attempt}")


def _hashes(pair: Pair) -> dict[str, Any]:
    return {
        "generation": pair.generation,
        "baseline_sha256": pair.baseline_sha256,
        "managed_state_sha256": pair.managed_sha256,
    }


def _baseline_succeeded(after: Pair, *, is_retry: bool) -> Ending:
    holdings: Mapping[str, Any] = after.baseline["holdings"] if after.baseline else {}
    counts = {"generation": after.generation, "assets_n": len(holdings)}
    events = ["baseline.cache_drift_detected"] if is_retry else []
    return Ending(
        status="succeeded",
        result={"ok": True, "dry_run": True, **counts},
        log_rows=(("apply_baseline_holdings.applied", counts),),
        audit_rows=[(event, counts) for event in (*events, "baseline.apply_succeeded")],
        cache=[
            (asset, Decimal(held["quantity"]), held["frozen"], datetime.fromisoformat(held["recorded_at"]))
            for asset, held in sorted(holdings.items())
        ],
    )


def _baseline_failure(reason: str) -> Mapping[str, Any]:
    detail = {"reason": reason}
    return {
        "log_rows": (("apply_baseline_holdings.rejected", detail),),
        "audit_rows": (("baseline.apply_failed", detail),),
    }


HANDLERS: Mapping[str, Handler] = {
    PROFILE: Handler(run=run_profile, rows_of_failure=_profile_failure, changes_files=False),
    BASELINE: Handler(run=run_baseline, rows_of_failure=_baseline_failure, changes_files=True),
}
