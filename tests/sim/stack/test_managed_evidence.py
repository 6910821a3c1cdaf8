"""What the stage sees of managed holdings: between the acts, at the end, and in the facts it starts from."""

import json
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from sim.clock import minutes
from sim.errors import SimError
from sim.fake_bot.portfolio import parse_portfolio
from sim.rules.managed import TEN
from sim.stack.evidence_managed import read_managed
from sim.stack.managed_views import proposal_id_in
from sim.stack.stack import Stack
from sim.timeline import Timeline
from worker.contracts.states import ManagedState

PROPOSALS = "state/risk_proposals"


def broken(unjudged: Stack) -> list[str]:
    return list(dict.fromkeys(breach.rule for breach in unjudged.finish()))


def rested(home: Path) -> Timeline:
    timeline = Timeline()
    read_managed(timeline, home)
    return timeline


# Given.


def test_proposal_given_with_a_shorter_time_is_open_as_long_as_told(unjudged: Stack) -> None:
    now = unjudged.clock.now()

    proposal = unjudged.given.risk_proposed("ETH", expires_in=minutes(4))

    assert (proposal.state, proposal.expires_at) == (ManagedState.RISK_PROPOSED, now + minutes(4))
    assert unjudged.clock.now() == now
    assert broken(unjudged) == []


@pytest.mark.parametrize(
    ("word", "state"),
    [("managed_active", "managed_active"), ("paused", "paused"), ("drift_flagged", "drift_flagged")],
)
def test_asset_is_given_where_it_stands_by_services_and_worker(unjudged: Stack, word: str, state: str) -> None:
    proposal = getattr(unjudged.given, word)("ETH")

    assert (unjudged.asset("ETH").state, unjudged.asset("ETH").proposal_id) == (
        ManagedState(state),
        proposal.proposal_id,
    )
    assert unjudged.path_of("ETH")[-1] == state
    assert broken(unjudged) == []


def test_two_assets_are_given_one_after_the_other(unjudged: Stack) -> None:
    unjudged.given.managed_active("ETH")
    unjudged.given.paused("BTC")

    assert [unjudged.asset(asset).state.value for asset in ("BTC", "ETH")] == ["paused", "managed_active"]
    assert broken(unjudged) == []


def test_fact_that_cannot_be_had_says_what_it_needed(unjudged: Stack) -> None:
    unjudged.given.applied_baseline({"BTC": "1"})
    unjudged.given.market(without=["BTC"])

    with pytest.raises(SimError) as caught:
        unjudged.given.risk_proposed("BTC")

    assert caught.value.code == "stage/given_failed"
    assert "state/market_data_insufficient" in caught.value.message


def test_market_is_as_told(unjudged: Stack) -> None:
    unjudged.given.market({"ETH": "3100.5"}, closes={"DOT": ["7", "7.25"]}, closes_n=2, without=["ADA"])

    found = json.loads((unjudged.home / "state" / "market_snapshot.json").read_text())["assets"]
    assert set(found) == {"BTC", "DOT", "ETH", "SOL"}
    assert found["ETH"]["last_price"] == "3100.5"
    assert found["DOT"]["daily_closes"] == [
        {"date": "2026-05-10", "close": "7"},
        {"date": "2026-05-11", "close": "7.25"},
    ]
    assert {len(asset["daily_closes"]) for asset in found.values()} == {2}
    assert broken(unjudged) == []


def test_portfolio_that_was_given_is_the_bots_own_and_it_goes_on_from_it(unjudged: Stack) -> None:
    unjudged.given.portfolio({"ETH": "1.75"}, cash="250.5")
    unjudged.given.portfolio({"ETH": "1.5"})
    unjudged.bot.start()
    unjudged.bot.cycle()

    path = unjudged.home / "live_portfolio.json"
    assert parse_portfolio(path.read_bytes(), name="it").quantity("ETH") == Decimal("1.5")
    assert broken(unjudged) == []


def test_portfolio_that_somebody_forges_with_a_line_of_their_own_after_the_start_is_still_told(unjudged: Stack) -> None:
    unjudged.given.portfolio({"ETH": "1.75"})
    journal = unjudged.home / "logs" / "bot_journal.jsonl"
    line = json.loads(journal.read_text().splitlines()[-1])
    with journal.open("a") as stream:
        stream.write(json.dumps({**line, "pid": 1, "previous_sha256": line["sha256"]}, separators=(",", ":")) + "\n")

    assert "portfolio_drift_unexplained" in broken(unjudged)


# Between the acts.


def test_decided_row_that_is_written_again_with_the_same_values_is_told(unjudged: Stack) -> None:
    proposal = unjudged.given.managed_active("ETH")
    # By somebody whom no sensor names, between two clicks.
    unjudged.lease.connection.execute("UPDATE managed_proposals SET updated_at = updated_at")

    breaches = unjudged.finish()

    assert [(breach.rule, breach.subject) for breach in breaches] == [
        ("decided_proposal_changed", f"managed_proposals {proposal.proposal_id}")
    ]


def test_decided_row_whose_user_is_deleted_is_as_it_was(unjudged: Stack) -> None:
    unjudged.given.managed_active("ETH")
    unjudged.lease.connection.execute("UPDATE managed_proposals SET decided_by_user_id = NULL")

    assert broken(unjudged) == []


def test_proposal_file_that_is_replaced_by_its_equal_is_told(unjudged: Stack) -> None:
    proposal = unjudged.given.risk_proposed("ETH")
    path = unjudged.home / PROPOSALS / f"{proposal.proposal_id}.json"
    twin = path.with_name("twin")
    twin.write_bytes(path.read_bytes())
    twin.replace(path)

    assert "file_written_once_changed" in broken(unjudged)


def test_look_at_a_locked_table_is_put_off(unjudged: Stack) -> None:
    profile = unjudged.given.reference_profile()
    with unjudged.holding("LOCK TABLE managed_proposals IN ACCESS EXCLUSIVE MODE"):
        unjudged.operator("day").apply_profile(profile)

    assert unjudged.timeline.of_kind("proposals.seen") == ()
    assert unjudged.rows.scalar("SHOW lock_timeout") == "0"


def test_row_that_the_story_itself_loses_is_its_own_doing(unjudged: Stack) -> None:
    unjudged.leaves_behind("managed_proposals")
    proposal = unjudged.given.managed_active("ETH")

    unjudged.cache.lose_proposal(proposal)

    assert broken(unjudged) == []


def test_row_that_is_not_there_cannot_be_spoiled(unjudged: Stack) -> None:
    with pytest.raises(LookupError):
        unjudged.cache.change_proposal(uuid4(), asset="BTC")


# At the end.


def test_states_are_read_from_enum_reader_and_each_constraint(unjudged: Stack) -> None:
    unjudged.finish()

    read = {event.subject: event.detail["states"] for event in unjudged.timeline.of_kind("states.read")}
    assert set(read) == {
        "enum ManagedState",
        "reader of managed_state.json",
        "managed_proposals_state_check",
        "managed_assets_history_state_from_check",
        "managed_assets_history_state_to_check",
    }
    assert {tuple(states) for states in read.values()} == {TEN}


def test_constraint_that_is_gone_breaks_parity_unless_the_story_took_it(unjudged: Stack) -> None:
    unjudged.lease.connection.execute("ALTER TABLE managed_proposals DROP CONSTRAINT managed_proposals_state_check")

    assert broken(unjudged) == ["enum_parity_broken"]


def test_constraint_that_the_story_took_is_its_own_doing(unjudged: Stack) -> None:
    unjudged.given.constraint_dropped("managed_proposals", "managed_proposals_state_check")

    assert broken(unjudged) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": ' + b"[" * 5000], ids=repr)
def test_proposal_file_that_cannot_be_read_is_named(home: Path, content: bytes) -> None:
    folder = home / PROPOSALS
    folder.mkdir()
    (folder / "x.json").write_bytes(content)

    (event,) = rested(home).of_kind("managed.at_rest")

    assert list(event.detail["damaged"]) == [f"{PROPOSALS}/x.json"]
    assert event.detail["proposals"] == {}


def test_state_that_a_reader_would_refuse_is_read_all_the_same(home: Path) -> None:
    content = {"assets": {"ETH": {"state": "sold"}, "BTC": 7}}
    (home / "state" / "managed_state.json").write_text(json.dumps(content))

    (event,) = rested(home).of_kind("managed.at_rest")

    assert {asset: entry["state"] for asset, entry in event.detail["assets"].items()} == {"ETH": "sold"}


def test_home_without_managed_state_tells_of_none(home: Path) -> None:
    (event,) = rested(home).of_kind("managed.at_rest")

    assert (event.detail["assets"], event.detail["proposals"], event.detail["is_readable"]) == ({}, {}, True)


# Views.


def test_proposal_can_be_named_by_its_id_its_view_and_its_request(unjudged: Stack) -> None:
    unjudged.given.applied_baseline({"ETH": "2"})
    request = unjudged.operator("day").request("ETH")
    view = unjudged.proposal(request)

    assert unjudged.proposal(view) == unjudged.proposal(view.proposal_id) == view
    assert (view.state, view.document, view.requested_by) == (ManagedState.PROPOSAL_PENDING, None, 23)


def test_command_that_requested_no_proposal_names_none(unjudged: Stack) -> None:
    command = unjudged.operator("day").apply_profile(unjudged.given.reference_profile())

    with pytest.raises(LookupError):
        proposal_id_in(command)


def test_what_is_not_there_is_said_so(unjudged: Stack) -> None:
    with pytest.raises(LookupError):
        unjudged.proposal(uuid4())
    with pytest.raises(LookupError):
        unjudged.asset("ETH")
    unjudged.given.applied_baseline({"ETH": "2"})
    with pytest.raises(LookupError):
        unjudged.asset("BTC")
    assert (unjudged.history_of("ETH"), unjudged.path_of("ETH")) == ([], [])
