"""Secrets in what an operator writes: intents, reasons, confirmations, overrides (R8).

Asked in review: an operator pasted the exchange key into the wrong field; where did it go?
Must hold: words that hold a secret are refused, by the service and again by the worker, and neither trail, log, result
nor refusal repeats them; words that only talk of secrets are kept.
"""

from typing import Any
from uuid import uuid4

import pytest

from sim.story import Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import HardConfirmMismatch
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.needs_handlers("managed")

PASSWORD = "hunter2-Corr3ctHorse"
SECRETS = (
    f"see postgresql://trader:{PASSWORD}@db.internal:5432/tradingbot_gui",
    f"host=db user=trader password={PASSWORD}",
    f"Authorization: Bearer {PASSWORD}{PASSWORD}",
    f"https://testnet.binance.vision/api/v3/order?symbol=ETHUSDT&signature={PASSWORD}",
    f"api_secret={PASSWORD}",
)
HARMLESS = "The API key stays where it is; no password needed for paper (testnet)."

REQUEST, APPROVE = CommandType.REQUEST_MANAGED_PROPOSAL, CommandType.APPROVE_MANAGED_PROPOSAL
REJECT, RELEASE = CommandType.REJECT_MANAGED_PROPOSAL, CommandType.RELEASE_MANAGED_ASSET


def _trail(stack: Stack) -> str:
    """All text that reached audit events, logs, results, proposals and histories; payloads are the producer's own."""
    tables = ("audit_events", "command_audit_log", "managed_proposals", "managed_assets_history")
    told = [str(stack.rows.dump(table)) for table in tables]
    told += [str((row["result_json"], row["error_message"])) for row in stack.rows.dump("commands")]
    return "\n".join(told)


def test_page_takes_no_intent_and_no_reason_with_a_secret(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    day, before = stack.operator("day"), stack.measure()

    for secret in SECRETS:
        with pytest.raises(Refusal) as intent:
            day.request("BTC", intent=secret)
        with pytest.raises(Refusal) as reason:
            day.reject(proposal, reason=secret)
        assert [one.value.reason for one in (intent, reason)] == [Reason.SECRET_FOUND] * 2
        assert PASSWORD not in f"{intent.value} {reason.value}"
    assert stack.measure() == before


def test_words_that_only_talk_of_secrets_are_kept(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH", intent=HARMLESS)
    rejected = stack.operator("day").reject(proposal, reason=HARMLESS)
    stack.worker.run_once()

    assert stack.command(rejected).status is CommandStatus.SUCCEEDED
    assert proposal.document is not None
    assert proposal.document["intent"] == HARMLESS
    assert _trail(stack).count(HARMLESS) == 3


def test_worker_takes_no_intent_and_no_reason_with_a_secret(stack: Stack) -> None:
    stack.expects(Reason.SECRET_FOUND)
    proposal = stack.given.risk_proposed("ETH")
    put = stack.bus.put_unchecked
    commands = [
        *(put(REQUEST, "BTC", managed_payload(REQUEST, "BTC", uuid4(), intent=secret)) for secret in SECRETS),
        *(put(REJECT, "ETH", managed_payload(REJECT, "ETH", proposal, reason=secret)) for secret in SECRETS),
    ]

    with stack.witness.no_mutation():
        ended = stack.worker.run_until_idle(max_commands=len(commands))

    assert [stack.command(one).reason for one in commands] == [Reason.SECRET_FOUND] * len(commands)
    assert PASSWORD not in _trail(stack)
    assert PASSWORD not in ended.stderr


def test_key_in_the_wrong_field_of_an_approval_is_repeated_nowhere(stack: Stack) -> None:
    stack.expects(Reason.HARD_CONFIRM_MISMATCH, Reason.OVERRIDE_NOT_ALLOWED, Reason.VARIANT_UNKNOWN)
    stack.expects(Reason.SCHEMA_VIOLATION)
    proposal = stack.given.risk_proposed("ETH")

    # In the confirmation and in the name of an override, on the page.
    with pytest.raises(HardConfirmMismatch) as refused:
        stack.operator("day").approve(proposal, "balanced", hard_confirm=PASSWORD)
    assert PASSWORD not in str(refused.value)
    with pytest.raises(Refusal) as unknown:
        stack.operator("day").approve(proposal, "balanced", overrides={PASSWORD: "0.01"})
    assert unknown.value.reason is Reason.OVERRIDE_NOT_ALLOWED
    assert PASSWORD not in str(unknown.value)

    # In every field there is, past the service.
    fields: dict[Reason, dict[str, Any]] = {
        Reason.HARD_CONFIRM_MISMATCH: {"hard_confirm": SECRETS[1]},
        Reason.OVERRIDE_NOT_ALLOWED: {"overrides": {SECRETS[4]: 1}},
        Reason.VARIANT_UNKNOWN: {"variant": PASSWORD},
        Reason.SCHEMA_VIOLATION: {"overrides": {SECRETS[4]: PASSWORD}, SECRETS[4]: PASSWORD},
    }
    commands = {
        reason: stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal, **changed))
        for reason, changed in fields.items()
    }
    with stack.witness.no_mutation():
        ended = stack.worker.run_until_idle(max_commands=len(commands))

    assert {reason: stack.command(command).reason for reason, command in commands.items()} == {
        reason: reason for reason in fields
    }
    assert PASSWORD not in _trail(stack)
    assert PASSWORD not in ended.stderr
