"""Of all decisions of one proposal there is a single winner, whoever waits for whom (R3)."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, OTHER_ADMIN, Outside
from tests.worker.services.managed import proposal_of, propose
from tests.worker.services.test_decide_proposal import BOTH, Decide, approve, refused, reject
from worker.contracts.errors import ProposalAlreadyDecided
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand

TIMEOUT_S = 20
PROPOSAL = proposal_of()


@pytest.fixture
def service(engine: Engine) -> ProposalService:
    return ProposalService(engine)


LOSERS: dict[str, tuple[Decide, dict[str, Any]]] = {
    "reject": (reject, {}),
    "another variant": (approve, {"variant": "aggressive", "hard_confirm": "ETH:aggressive"}),
    "another override": (approve, {"overrides": {"allocation_pct": Decimal("0.01")}}),
    "another user": (approve, {"user": OTHER_ADMIN}),
}


@pytest.mark.parametrize("loser", LOSERS)
def test_decision_after_another_one_is_refused_and_names_the_winner(
    service: ProposalService, outside: Outside, loser: str
) -> None:
    propose(outside, PROPOSAL)
    winner = approve(service)
    decide, words = LOSERS[loser]
    error = refused(outside, decide, service, **words)
    assert isinstance(error, ProposalAlreadyDecided)
    assert error.winner == str(winner.command_id)


@BOTH
def test_same_decision_by_another_click_gets_the_first_command(
    service: ProposalService, outside: Outside, decide: Decide
) -> None:
    propose(outside, PROPOSAL)
    first = decide(service)
    before = outside.everything()
    second = decide(service)
    assert (second.command_id, second.created) == (first.command_id, False)
    assert outside.everything() == before


@BOTH
@pytest.mark.parametrize("ended", ["cancelled", "failed"])
def test_key_of_a_decision_that_came_to_nothing_is_not_used_again(
    service: ProposalService, outside: Outside, decide: Decide, ended: str
) -> None:
    propose(outside, PROPOSAL)
    first = approve(service, user=OTHER_ADMIN)
    outside.rows("UPDATE commands SET status = %s", ended)
    error = refused(outside, decide, service)
    assert isinstance(error, ProposalAlreadyDecided)
    assert error.winner == str(first.command_id)


@pytest.mark.parametrize(("first", "second"), [(approve, reject), (reject, approve)], ids=["approve", "reject"])
def test_second_decision_waits_for_the_first_and_loses(
    service: ProposalService,
    outside: Outside,
    open_another_engine: Callable[[], Engine],
    first: Decide,
    second: Decide,
) -> None:
    propose(outside, PROPOSAL)
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as joined:
        winner = first(service, connection=joined)
        sent = threads.submit(second, service)
        outside.wait_until_somebody_waits_for_a_lock()
        joined.commit()
        error = sent.exception(TIMEOUT_S)

    assert isinstance(error, ProposalAlreadyDecided)
    assert error.winner == str(winner.command_id)
    assert (outside.counts()["commands"], outside.counts()["audit_events"]) == (1, 1)


def test_second_decision_wins_when_the_first_rolls_back(
    service: ProposalService, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    propose(outside, PROPOSAL)
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as joined:
        approve(service, connection=joined)
        sent = threads.submit(reject, service)
        outside.wait_until_somebody_waits_for_a_lock()
        joined.rollback()
        winner = sent.result(TIMEOUT_S)

    assert outside.row("SELECT command_id, command_type FROM commands") == {
        "command_id": winner.command_id,
        "command_type": "reject_managed_proposal",
    }


def test_decisions_at_the_same_time_have_one_winner(service: ProposalService, outside: Outside) -> None:
    propose(outside, PROPOSAL)
    with ThreadPoolExecutor(max_workers=8) as threads:
        sent: list[Future[CreatedCommand]] = [
            threads.submit(decide, service, user=user)
            for decide in (approve, reject)
            for user in (ADMIN, OTHER_ADMIN)
            for _ in range(2)
        ]
        errors = [one.exception(TIMEOUT_S) for one in sent]

    winner = outside.row("SELECT command_id FROM commands")["command_id"]
    lost = [error for error in errors if error is not None]
    assert {type(error) for error in lost} == {ProposalAlreadyDecided}
    assert {error.winner for error in lost if isinstance(error, ProposalAlreadyDecided)} == {str(winner)}
    # The winner, and the equal click that was handed the winner's command.
    assert len(lost) == 6
    assert outside.counts()["audit_events"] == 1
