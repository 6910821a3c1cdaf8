"""A request for a proposal: a frozen asset of the baseline, one open proposal per asset, one command per click."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from tests.worker.services.conftest import ADMIN, NOW, OTHER_ADMIN, Outside
from tests.worker.services.managed import CLICK, OTHER_CLICK, hold, manage, proposal_of, propose, put, walk
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import ProposalAlreadyOpen
from worker.contracts.proposals import proposal_id_of
from worker.contracts.states import ManagedState
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand

TIMEOUT_S = 20
INTENT = "trend is up"
FINAL = ("approved", "rejected", "expired")


@pytest.fixture
def service(engine: Engine) -> ProposalService:
    return ProposalService(engine)


def request(service: ProposalService, intent: Any = INTENT, **options: Any) -> CreatedCommand:
    return service.create_request_command("ETH", options.pop("user", ADMIN), intent, **{"click_id": CLICK, **options})


def refused(service: ProposalService, outside: Outside, intent: Any = INTENT, **options: Any) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        request(service, intent, **options)
    assert outside.everything() == before
    return refusal.value


def test_request_writes_its_pending_proposal_beside_the_command(service: ProposalService, outside: Outside) -> None:
    hold(outside, "ETH")
    request(service)

    row = outside.row("SELECT *, extract(epoch FROM expires_at - created_at)::int AS open_for_s FROM managed_proposals")
    payload = outside.row("SELECT payload FROM commands")["payload"]
    written = outside.rows("SELECT xmin::text FROM commands UNION SELECT xmin::text FROM managed_proposals")
    assert (row["proposal_id"], row["asset"], row["state"]) == (proposal_id_of("ETH", CLICK), "ETH", "proposal_pending")
    assert (row["proposal_json"], row["generated_at"], row["decided_at"], row["decision"]) == (None,) * 4
    assert (row["requested_by_user_id"], row["decided_by_user_id"]) == (ADMIN, None)
    assert (f"{row['created_at'].isoformat()}Z", row["open_for_s"]) == (NOW, 900)
    assert (payload["proposal_id"], payload["intent"]) == (str(row["proposal_id"]), INTENT)
    assert len(written) == 1


def test_times_of_the_proposal_are_utc_whatever_the_session_says(
    engine: Engine, outside: Outside, service: ProposalService
) -> None:
    hold(outside, "ETH")
    with engine.begin() as joined:
        joined.execute(text("SET LOCAL TimeZone = 'Asia/Tokyo'"))
        request(service, connection=joined)

    row = outside.row("SELECT created_at::text, updated_at::text, expires_at::text FROM managed_proposals")
    assert row == {
        "created_at": "2026-05-09 09:00:00",
        "updated_at": "2026-05-09 09:00:00",
        "expires_at": "2026-05-09 09:15:00",
    }


def test_asset_that_is_managed_is_refused(service: ProposalService, outside: Outside) -> None:
    manage(outside, "ETH")
    refusal = refused(service, outside)
    assert refusal.reason is Reason.ASSET_NOT_FROZEN
    assert refusal.message == ("asset ETH is managed, expected frozen; release it before you request a new proposal")


@pytest.mark.parametrize("state", [state for state in ManagedState if state is not ManagedState.FROZEN])
def test_asset_whose_history_does_not_end_frozen_is_refused(
    service: ProposalService, outside: Outside, state: ManagedState
) -> None:
    hold(outside, "ETH")
    walk(outside, "ETH", state)
    assert refused(service, outside).reason is Reason.ILLEGAL_TRANSITION


def test_asset_that_is_frozen_again_is_accepted(service: ProposalService, outside: Outside) -> None:
    manage(outside, "ETH", ManagedState.RELEASED, ManagedState.FROZEN)
    outside.rows("UPDATE baseline_holdings SET frozen = true")
    assert request(service).created


@pytest.mark.parametrize("state", ["proposal_pending", "risk_proposed"])
def test_second_proposal_beside_an_open_one_is_refused(service: ProposalService, outside: Outside, state: str) -> None:
    open_one = put(outside, proposal_of(), state=state)
    hold(outside, "ETH")
    error = refused(service, outside, click_id=OTHER_CLICK)

    assert isinstance(error, ProposalAlreadyOpen)
    assert (error.proposal_id, error.expected, error.found) == (open_one, "no open proposal", state)


@pytest.mark.parametrize("state", FINAL)
def test_proposal_after_a_final_one_is_accepted(service: ProposalService, outside: Outside, state: str) -> None:
    put(outside, proposal_of(), state=state)
    hold(outside, "ETH")
    assert request(service, click_id=OTHER_CLICK).created


def test_open_proposal_of_another_asset_is_no_obstacle(service: ProposalService, outside: Outside) -> None:
    propose(outside, proposal_of("BTC"))
    hold(outside, "ETH")
    assert request(service).created


def test_double_click_gets_the_command_back_also_when_the_proposal_is_there(
    service: ProposalService, outside: Outside
) -> None:
    hold(outside, "ETH")
    first = request(service)
    outside.rows("UPDATE managed_proposals SET state = 'risk_proposed'")
    walk(outside, "ETH", ManagedState.PROPOSAL_PENDING, ManagedState.RISK_PROPOSED)
    before = outside.everything()
    second = request(service)

    assert (second.command_id, second.created) == (first.command_id, False)
    assert outside.everything() == before


@pytest.mark.parametrize("change", [{"intent": "trend is down"}, {"user": OTHER_ADMIN}], ids=["intent", "user"])
def test_click_sent_again_with_other_content_names_the_first_command(
    service: ProposalService, outside: Outside, change: dict[str, Any]
) -> None:
    hold(outside, "ETH")
    first = request(service)
    error = refused(service, outside, **change)

    assert isinstance(error, ProposalAlreadyDecided)
    assert error.winner == str(first.command_id)


def test_click_whose_command_was_deleted_is_not_taken_again(service: ProposalService, outside: Outside) -> None:
    hold(outside, "ETH")
    request(service)
    outside.rows("DELETE FROM commands")
    error = refused(service, outside)

    assert isinstance(error, ProposalAlreadyDecided)
    assert (error.expected, error.found, error.winner) == ("new", "proposal_pending", None)


def test_proposal_that_cannot_be_written_and_cannot_be_seen_is_told_as_there(
    service: ProposalService, outside: Outside
) -> None:
    hold(outside, "ETH")
    # A trigger that takes every insert away looks to the service like a row that somebody deleted since.
    outside.rows("CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    outside.rows("CREATE TRIGGER vanish BEFORE INSERT ON managed_proposals FOR EACH ROW EXECUTE FUNCTION vanish()")
    error = refused(service, outside)

    assert isinstance(error, ProposalAlreadyDecided)
    assert error.message == (
        f"proposal {proposal_id_of('ETH', CLICK)} is there, expected it to be new; reload the page to see it"
    )


UNKEPT = "has characters in its intent that no text has; write it again by hand"


@pytest.mark.parametrize(
    ("intent", "told"),
    [
        ("", "needs the intent in words, found 0 blank characters; write one"),
        ("  \n", "needs the intent in words, found 3 blank characters; write one"),
        ("\u200b\u00a0", "needs the intent in words, found 2 blank characters; write one"),
        (None, "needs its intent as a text, found a NoneType; write one"),
        (7, "needs its intent as a text, found a int; write one"),
        ("up " * 167, "takes 500 characters of intent, found 501; shorten it"),
        ("up\x00", UNKEPT),
        ("up\x1b[31m", UNKEPT),
        ("up \ud800", UNKEPT),
    ],
    ids=["empty", "blank", "invisible", "none", "number", "long", "nul", "escape", "half a character"],
)
def test_request_without_an_intent_that_can_be_kept_is_refused(
    service: ProposalService, outside: Outside, intent: Any, told: str
) -> None:
    hold(outside, "ETH")
    error = refused(service, outside, intent)
    assert (error.reason, error.message) == (Reason.INTENT_REQUIRED, f"the request for ETH {told}")


@pytest.mark.parametrize("intent", [("up " * 167)[:500], "?", "Trend\nis up \u2191", "\u4e0a"])
def test_any_other_intent_is_kept_as_it_is(service: ProposalService, outside: Outside, intent: str) -> None:
    hold(outside, "ETH")
    request(service, intent)
    assert outside.row("SELECT payload ->> 'intent' AS intent FROM commands") == {"intent": intent}
    assert outside.row("SELECT metadata ->> 'intent' AS intent FROM audit_events") == {"intent": intent}


def test_intent_with_a_secret_is_refused_and_not_repeated(service: ProposalService, outside: Outside) -> None:
    hold(outside, "ETH")
    error = refused(service, outside, "see postgres://gui:hunter2@db/x")
    assert error.reason is Reason.SECRET_FOUND
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("second_click", "winners"), [(CLICK, 1), (OTHER_CLICK, 0)], ids=["same click", "another click"]
)
def test_second_request_waits_for_the_first_and_sees_it(
    service: ProposalService,
    outside: Outside,
    open_another_engine: Callable[[], Engine],
    second_click: UUID,
    winners: int,
) -> None:
    hold(outside, "ETH")
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as joined:
        first = request(service, connection=joined)
        second = threads.submit(request, service, click_id=second_click)
        outside.wait_until_somebody_waits_for_a_lock()
        joined.commit()
        error = second.exception(TIMEOUT_S)

    assert outside.row("SELECT command_id FROM commands") == {"command_id": first.command_id}
    assert outside.counts()["managed_proposals"] == 1
    assert isinstance(error, ProposalAlreadyOpen) == (winners == 0)


def test_requests_at_the_same_time_leave_one_proposal(service: ProposalService, outside: Outside) -> None:
    hold(outside, "ETH")
    clicks = [UUID(int=number) for number in range(1, 9)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        sent = [threads.submit(request, service, click_id=click) for click in clicks]
        errors = [one.exception(TIMEOUT_S) for one in sent]

    assert sorted(type(error).__name__ for error in errors) == ["NoneType"] + ["ProposalAlreadyOpen"] * 7
    counts = outside.counts()
    assert (counts["commands"], counts["audit_events"], counts["managed_proposals"]) == (1, 1, 1)


def test_requests_for_two_assets_do_not_wait_for_each_other(
    service: ProposalService, outside: Outside, engine: Engine
) -> None:
    hold(outside, "ETH")
    hold(outside, "BTC")
    with engine.connect() as joined:
        request(service, connection=joined)
        other = service.create_request_command("BTC", ADMIN, INTENT)
        joined.commit()

    assert other.created
    assert outside.counts()["commands"] == 2


def test_request_finds_the_asset_whose_row_the_worker_wrote_anew_meanwhile(
    service: ProposalService, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    hold(outside, "ETH")
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as worker:
        worker.execute(text("DELETE FROM baseline_holdings"))
        worker.execute(text("INSERT INTO baseline_holdings VALUES ('ETH', 3, true, now())"))
        sent = threads.submit(request, service)
        outside.wait_until_somebody_waits_for_a_lock()
        worker.commit()

        assert sent.result(TIMEOUT_S).created


def test_request_for_an_asset_that_left_the_baseline_meanwhile_is_refused(
    service: ProposalService, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    hold(outside, "ETH")
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as worker:
        worker.execute(text("DELETE FROM baseline_holdings"))
        sent = threads.submit(request, service)
        outside.wait_until_somebody_waits_for_a_lock()
        worker.commit()
        error = sent.exception(TIMEOUT_S)

    assert isinstance(error, Refusal)
    assert error.reason is Reason.ASSET_NOT_IN_BASELINE
