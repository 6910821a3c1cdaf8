"""Pause, resume and release by where the asset stands in its history; a promotion that is only looked at."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, Outside
from tests.worker.services.managed import (
    CLICK,
    DRIFTED,
    MANAGED,
    OTHER_CLICK,
    PAUSED,
    hold,
    manage,
    proposal_of,
    propose,
    put,
    walk,
)
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ProposalNotFound, ProposalNotReadable
from worker.contracts.states import ManagedState
from worker.services.managed_state import ManagedStateService
from worker.services.submission import CreatedCommand

Move = Callable[..., CreatedCommand]
PROPOSAL = proposal_of()


@pytest.fixture
def service(engine: Engine) -> ManagedStateService:
    return ManagedStateService(engine)


def pause(service: ManagedStateService, **options: Any) -> CreatedCommand:
    return service.create_pause_command("ETH", ADMIN, **options)


def resume(service: ManagedStateService, **options: Any) -> CreatedCommand:
    return service.create_resume_command("ETH", ADMIN, **options)


def release(service: ManagedStateService, strategy: Any = "keep_frozen", **options: Any) -> CreatedCommand:
    return service.create_release_command("ETH", ADMIN, strategy, **options)


def promote(
    service: ManagedStateService,
    asset: Any = "ETH",
    proposal: UUID = PROPOSAL.proposal_id,
    variant: Any = "balanced",
    **options: Any,
) -> CreatedCommand:
    return service.create_promote_dry_run_command(asset, proposal, variant, ADMIN, **options)


MOVES: dict[Move, frozenset[ManagedState]] = {
    pause: frozenset({MANAGED}),
    resume: frozenset({PAUSED, DRIFTED}),
    release: frozenset({MANAGED, PAUSED, DRIFTED}),
}
EACH_MOVE = pytest.mark.parametrize("move", MOVES)
LEGAL = [(move, state) for move, states in MOVES.items() for state in sorted(states)]
ILLEGAL = [(move, state) for move, states in MOVES.items() for state in ManagedState if state not in states]


def refused(outside: Outside, click: Move, *about: Any, **words: Any) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        click(*about, **words)
    assert outside.everything() == before
    return refusal.value


@pytest.mark.parametrize(("move", "state"), LEGAL)
def test_asset_in_the_right_state_is_moved(
    service: ManagedStateService, outside: Outside, move: Move, state: ManagedState
) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", state)
    move(service)

    assert outside.row("SELECT subject FROM commands") == {"subject": "ETH"}
    assert outside.row("SELECT metadata ->> 'state_from' AS told FROM audit_events") == {"told": state.value}


@pytest.mark.parametrize(("move", "state"), ILLEGAL)
def test_asset_in_any_other_state_is_refused(
    service: ManagedStateService, outside: Outside, move: Move, state: ManagedState
) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", state)
    error = refused(outside, move, service)
    assert error.reason is Reason.ILLEGAL_TRANSITION
    assert state.value in str(error)


@EACH_MOVE
def test_asset_without_a_history_is_frozen_and_refused(
    service: ManagedStateService, outside: Outside, move: Move
) -> None:
    hold(outside, "ETH")
    assert refused(outside, move, service).reason is Reason.ILLEGAL_TRANSITION


@EACH_MOVE
def test_asset_that_nobody_holds_is_refused(service: ManagedStateService, outside: Outside, move: Move) -> None:
    hold(outside, "BTC")
    error = refused(outside, move, service)
    assert error.reason is Reason.ASSET_NOT_IN_BASELINE
    assert error.message == "asset ETH is not in the baseline; apply a baseline that holds it first"


@EACH_MOVE
def test_another_click_makes_another_command(service: ManagedStateService, outside: Outside, move: Move) -> None:
    manage(outside, "ETH", *sorted(MOVES[move])[:1])
    commands = [move(service, click_id=CLICK), move(service, click_id=OTHER_CLICK), move(service)]
    assert [command.created for command in commands] == [True] * 3
    assert len({command.idempotency_key for command in commands}) == 3


@EACH_MOVE
def test_click_sent_again_after_its_command_ran_gets_that_command_back(
    service: ManagedStateService, outside: Outside, move: Move
) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", *sorted(MOVES[move])[:1])
    first = move(service, click_id=CLICK)
    walk(outside, "ETH", ManagedState.FROZEN)
    before = outside.everything()
    again = move(service, click_id=CLICK)

    assert (again.command_id, again.created) == (first.command_id, False)
    assert outside.everything() == before
    assert refused(outside, move, service, click_id=OTHER_CLICK).reason is Reason.ILLEGAL_TRANSITION


@pytest.mark.parametrize("strategy", ["keep_frozen", "return_to_baseline"])
def test_release_carries_its_strategy(service: ManagedStateService, outside: Outside, strategy: str) -> None:
    manage(outside, "ETH")
    release(service, strategy)
    assert outside.row("SELECT payload ->> 'strategy' AS told FROM commands") == {"told": strategy}
    assert outside.row("SELECT metadata ->> 'strategy' AS told FROM audit_events") == {"told": strategy}


@pytest.mark.parametrize("strategy", ["", "Keep_frozen", "sell", None, True])
def test_release_without_a_strategy_is_refused(service: ManagedStateService, outside: Outside, strategy: Any) -> None:
    manage(outside, "ETH")
    error = refused(outside, release, service, strategy)
    assert error.reason is Reason.STRATEGY_REQUIRED
    assert error.message == (
        "the release of ETH needs a strategy, keep_frozen or return_to_baseline; choose what shall be frozen"
    )


def test_latest_row_of_the_history_decides_and_the_later_one_of_an_instant(
    service: ManagedStateService, outside: Outside
) -> None:
    manage(outside, "ETH", PAUSED)
    outside.rows("UPDATE managed_assets_history SET ts = ts - interval '1 hour' WHERE state_to = 'paused'")
    assert refused(outside, resume, service).reason is Reason.ILLEGAL_TRANSITION
    assert pause(service).created


@pytest.mark.parametrize("variant", ["conservative", "balanced", "aggressive"])
@pytest.mark.parametrize("state", ["risk_proposed", "approved", "rejected", "expired"])
def test_promotion_of_a_proposal_that_was_made_is_accepted(
    service: ManagedStateService, outside: Outside, state: str, variant: str
) -> None:
    propose(outside, PROPOSAL, state=state)
    promote(service, variant=variant)
    payload = outside.row("SELECT payload FROM commands")["payload"]
    assert (payload["proposal_id"], payload["variant"]) == (str(PROPOSAL.proposal_id), variant)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"asset": "eth"}, Reason.ASSET_NOT_IN_BASELINE),
        ({"variant": "bold"}, Reason.VARIANT_UNKNOWN),
        ({"variant": None}, Reason.VARIANT_UNKNOWN),
    ],
    ids=["no asset", "variant", "no variant"],
)
def test_promotion_of_what_is_no_asset_or_variant_is_refused(
    service: ManagedStateService, outside: Outside, words: dict[str, Any], reason: Reason
) -> None:
    propose(outside, PROPOSAL)
    assert refused(outside, promote, service, **words).reason is reason


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"proposal": CLICK}, f"a proposal {CLICK}"),
        ({"asset": "BTC"}, f"a proposal {PROPOSAL.proposal_id} of asset BTC"),
    ],
    ids=["nobody's", "another asset's"],
)
def test_promotion_of_a_proposal_that_does_not_exist_is_refused_and_says_which_was_expected(
    service: ManagedStateService, outside: Outside, words: dict[str, Any], expected: str
) -> None:
    propose(outside, PROPOSAL)
    hold(outside, "BTC")
    error = refused(outside, promote, service, **words)
    assert isinstance(error, ProposalNotFound)
    assert error.expected == expected


@pytest.mark.parametrize(("document", "found"), [(None, "no document"), ({}, "a document damaged at $.schema_version")])
def test_promotion_of_a_proposal_that_cannot_be_read_is_refused(
    service: ManagedStateService, outside: Outside, document: object, found: str
) -> None:
    put(outside, PROPOSAL, state="proposal_pending", document=document)
    error = refused(outside, promote, service)
    assert isinstance(error, ProposalNotReadable)
    assert error.found == found
