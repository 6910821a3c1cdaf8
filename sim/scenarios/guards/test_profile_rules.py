"""Every rule about what a profile may say, taken by the service and taken again by the worker.

Asked in review: a setting was one step beyond its limit; who stopped it, and would the worker have, on its own?
Must hold: the same reason from both; nothing written by the service; the nearest allowed value runs.
"""

from typing import Any
from uuid import UUID

import pytest

from sim.story import REFERENCE_CONFIG, REFERENCE_RISK, Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus, ProfileStatus

CONFIG = dict(REFERENCE_CONFIG)
RISK = dict(REFERENCE_RISK)
SHARES = [name for name in RISK if name.endswith("_pct")]


def without(settings: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in settings.items() if key != name}


REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "config key unknown": ({"config": {**CONFIG, "api_base": "x"}}, Reason.CONFIG_NOT_ALLOWED),
    "config key missing": ({"config": {"log_level": "info"}}, Reason.CONFIG_NOT_ALLOWED),
    "log level unknown": ({"config": {**CONFIG, "log_level": "trace"}}, Reason.CONFIG_NOT_ALLOWED),
    "verbosity unknown": ({"config": {**CONFIG, "decision_log_verbosity": "all"}}, Reason.CONFIG_NOT_ALLOWED),
    "config value of another type": ({"config": {**CONFIG, "log_level": 1}}, Reason.CONFIG_NOT_ALLOWED),
    "risk key unknown": ({"risk": {**RISK, "leverage": "2"}}, Reason.RISK_NOT_ALLOWED),
    **{f"risk {name} missing": ({"risk": without(RISK, name)}, Reason.RISK_NOT_ALLOWED) for name in RISK},
    **{f"risk {name} zero": ({"risk": {**RISK, name: "0"}}, Reason.VALUE_OUT_OF_RANGE) for name in SHARES},
    **{f"risk {name} above one": ({"risk": {**RISK, name: "1.000001"}}, Reason.VALUE_OUT_OF_RANGE) for name in SHARES},
    "no open position": ({"risk": {**RISK, "max_open_positions": "0"}}, Reason.VALUE_OUT_OF_RANGE),
    "51 open positions": ({"risk": {**RISK, "max_open_positions": "51"}}, Reason.VALUE_OUT_OF_RANGE),
    "half a position": ({"risk": {**RISK, "max_open_positions": "4.5"}}, Reason.VALUE_OUT_OF_RANGE),
    "smallest position below 5": ({"risk": {**RISK, "min_position_value_usdt": "4.99"}}, Reason.VALUE_OUT_OF_RANGE),
    "low tier equals mid": ({"risk": {**RISK, "tier_low_allocation_pct": "0.03"}}, Reason.CROSS_FIELD_VIOLATION),
    "mid tier equals high": ({"risk": {**RISK, "tier_mid_allocation_pct": "0.05"}}, Reason.CROSS_FIELD_VIOLATION),
    "daily loss above weekly": ({"risk": {**RISK, "daily_loss_limit_pct": "0.06"}}, Reason.CROSS_FIELD_VIOLATION),
    "exposure and reserve above one": ({"risk": {**RISK, "cash_reserve_pct": "0.81"}}, Reason.CROSS_FIELD_VIOLATION),
    "risk per trade above daily loss": (
        {"risk": {**RISK, "max_risk_per_trade_pct": "0.03"}},
        Reason.CROSS_FIELD_VIOLATION,
    ),
    "high tier above exposure": (
        {"risk": {**RISK, "tier_high_allocation_pct": "0.21"}},
        Reason.CROSS_FIELD_VIOLATION,
    ),
    "profile is a draft": ({"status": ProfileStatus.DRAFT}, Reason.PROFILE_NOT_ACTIVE),
    "profile is archived": ({"status": ProfileStatus.ARCHIVED}, Reason.PROFILE_NOT_ACTIVE),
}

ACCEPTED: dict[str, dict[str, Any]] = {
    **{
        f"log level {level}": {"config": {**CONFIG, "log_level": level}}
        for level in ("debug", "info", "warning", "error")
    },
    **{
        f"verbosity {level}": {"config": {**CONFIG, "decision_log_verbosity": level}}
        for level in ("minimal", "normal", "full")
    },
    "fee buffer of one": {"risk": {**RISK, "fee_buffer_pct": "1"}},
    "smallest share": {"risk": {**RISK, "fee_buffer_pct": "0.000000001"}},
    "one open position": {"risk": {**RISK, "max_open_positions": "1"}},
    "50 open positions": {"risk": {**RISK, "max_open_positions": "50"}},
    "smallest position of 5": {"risk": {**RISK, "min_position_value_usdt": "5"}},
    "low tier just below mid": {"risk": {**RISK, "tier_low_allocation_pct": "0.029999"}},
    "mid tier just below high": {"risk": {**RISK, "tier_mid_allocation_pct": "0.049999"}},
    "daily loss equals weekly": {"risk": {**RISK, "daily_loss_limit_pct": "0.05"}},
    "exposure and reserve make one": {"risk": {**RISK, "cash_reserve_pct": "0.80"}},
    "risk per trade equals daily loss": {"risk": {**RISK, "max_risk_per_trade_pct": "0.02"}},
    "high tier equals exposure": {"risk": {**RISK, "tier_high_allocation_pct": "0.20"}},
}


@pytest.mark.parametrize("rule", REFUSED)
def test_profile_beyond_a_rule_is_refused_by_service_and_worker(stack: Stack, rule: str) -> None:
    settings, reason = REFUSED[rule]
    stack.expects(reason)
    profile = stack.given.profile(**settings)
    before = stack.measure()

    # The operator clicks: the service refuses and writes nothing.
    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_profile(profile)
    assert refused.value.reason is reason
    assert stack.measure() == before

    # Somebody puts the command on the bus all the same: the worker refuses too, for the same reason.
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), reference_payload(profile))
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert (stack.command(command).status, stack.command(command).reason) == (CommandStatus.FAILED, reason)


@pytest.mark.parametrize("rule", ACCEPTED)
def test_profile_at_the_edge_of_a_rule_runs(stack: Stack, rule: str) -> None:
    profile = stack.given.profile(**ACCEPTED[rule])
    command = stack.operator("day").apply_profile(profile)

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_unknown_profile_is_refused_by_service_and_worker(stack: Stack) -> None:
    stack.expects(Reason.PROFILE_NOT_FOUND)
    nobody = UUID("00000000-0000-4000-8000-000000000000")

    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_profile(nobody)
    assert refused.value.reason is Reason.PROFILE_NOT_FOUND

    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(nobody), reference_payload(nobody))
    stack.worker.run_once()
    assert stack.command(command).reason == Reason.PROFILE_NOT_FOUND


def test_refusal_names_every_problem_of_its_layer(stack: Stack) -> None:
    # One look must tell the operator all there is to mend.
    risk = {**RISK, "max_open_positions": "0", "fee_buffer_pct": "2", "min_position_value_usdt": "1"}
    profile = stack.given.profile(risk=risk)

    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_profile(profile)

    named = [name for name in RISK if name in refused.value.message]
    assert named == ["max_open_positions", "fee_buffer_pct", "min_position_value_usdt"]


@pytest.mark.parametrize("person", ["viewer", "nobody"])
def test_person_who_may_not_command_is_refused(stack: Stack, person: str) -> None:
    profile = stack.given.reference_profile()
    before = stack.measure()

    with pytest.raises(Refusal) as refused:
        stack.operator(person).apply_profile(profile)

    assert refused.value.reason is Reason.USER_NOT_ALLOWED
    assert stack.measure() == before


def test_second_admin_may_command(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    command = stack.operator("night").apply_profile(profile)

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
