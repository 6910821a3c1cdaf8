"""Every pair of state and verb, and what each managed handler judges of any payload; beside it what it accepts."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.worker.handlers.asking import TYPES, ask, forgotten_proposal, message_of
from tests.worker.managed_worlds import MINUTE, World, finish
from worker.contracts.states import ManagedState
from worker.contracts.transitions import PATHS, RESTING

ALL_PAIRS = [(state, verb) for state in sorted(RESTING - {ManagedState.PROPOSAL_PENDING}) for verb in TYPES]


ILLEGAL = [(state, verb) for state, verb in ALL_PAIRS if state not in PATHS[verb].begins_in]


LEGAL = [(state, verb) for state, verb in ALL_PAIRS if state in PATHS[verb].begins_in]


@pytest.mark.parametrize(("state", "verb"), ILLEGAL)
def test_illegal_transition_is_refused_and_moves_nothing(world: World, state: str, verb: str) -> None:
    proposal_id = forgotten_proposal(world)
    world.bring_to(state)
    before, history = world.files(), world.history("ETH")

    new_or_old = uuid4() if verb == "request" else proposal_id
    command_id = ask(world, verb, new_or_old)

    already_open = (state, verb) == (ManagedState.RISK_PROPOSED, "request")
    reason = "conflict/proposal_already_open" if already_open else "state/illegal_transition"
    assert world.command(command_id) == ("failed", reason)
    assert (world.files(), world.history("ETH")) == (before, history)
    events = world.rows("SELECT event_type, metadata FROM audit_events WHERE command_id = %s", command_id)
    assert [row["metadata"] for row in events] == [{"asset": "ETH", "reason": reason}]
    assert [row["event_type"].endswith("_failed") for row in events] == [True]


@pytest.mark.parametrize(("state", "verb"), LEGAL)
def test_legal_transition_is_made(world: World, state: str, verb: str) -> None:
    proposal_id = world.bring_to(state) or uuid4()

    command_id = ask(world, verb, proposal_id)

    assert world.command(command_id) == ("succeeded", None)
    assert world.state("ETH") == PATHS[verb].ends_in


@pytest.mark.parametrize("verb", TYPES)
def test_asset_on_its_way_to_a_proposal_takes_no_command(world: World, verb: str) -> None:
    """Another implementation may rest there; ours never does."""
    proposal_id = forgotten_proposal(world)
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"] |= {"state": "proposal_pending", "proposal_id": str(uuid4())}
    world.home.managed_state.write_text(json.dumps(document))
    before = world.files()

    command_id = ask(world, verb, uuid4() if verb == "request" else proposal_id)

    reason = "conflict/proposal_already_open" if verb == "request" else "state/illegal_transition"
    assert world.command(command_id) == ("failed", reason)
    assert world.files() == before


@pytest.mark.parametrize("verb", TYPES)
def test_asset_that_is_not_in_the_baseline_is_refused(world: World, verb: str) -> None:
    proposal_id = forgotten_proposal(world)
    for path, key in ((world.home.baseline_holdings, "holdings"), (world.home.managed_state, "assets")):
        document = json.loads(path.read_text())
        del document[key]["ETH"]
        path.write_text(json.dumps(document))

    command_id = ask(world, verb, uuid4() if verb == "request" else proposal_id)

    assert world.command(command_id) == ("failed", "state/asset_not_in_baseline")
    assert world.rows("SELECT * FROM baseline_holdings WHERE asset = 'ETH'") == []


@pytest.mark.parametrize("verb", TYPES)
def test_managed_command_without_any_baseline_is_refused_and_makes_no_files(world: World, verb: str) -> None:
    world.home.baseline_holdings.unlink()
    world.home.managed_state.unlink()

    command_id = ask(world, verb, uuid4())

    of_proposal = verb in ("approve", "reject")
    reason = "state/proposal_not_found" if of_proposal else "state/asset_not_in_baseline"
    assert world.command(command_id) == ("failed", reason)
    assert not world.home.managed_state.exists()


@pytest.mark.parametrize(
    ("verb", "further", "reason"),
    [
        ("request", {"intent": " \t"}, "validation/intent_required"),
        ("request", {"intent": "sk_live_51H8abcdefghijklmnopqrstuv"}, "validation/secret_found"),
        ("reject", {"reason": "  "}, "validation/reason_required"),
        ("release", {"strategy": "sell"}, "validation/schema_violation"),
        ("flag drift", {"found": 2}, "state/no_drift"),
        ("flag drift", {"found": -1}, "validation/drift_evidence_malformed"),
        ("flag drift", {"generation": 0}, "validation/drift_evidence_malformed"),
        ("flag drift", {"generation": 99}, "validation/drift_evidence_malformed"),
    ],
)
def test_words_and_evidence_are_judged_again(world: World, verb: str, further: dict[str, Any], reason: str) -> None:
    begins = {"request": "frozen", "reject": "risk_proposed"}.get(verb, "managed_active")
    proposal_id = world.bring_to(begins) or uuid4()
    before = world.files()

    assert world.command(ask(world, verb, proposal_id, **further)) == ("failed", reason)
    assert world.files() == before


def told_of_the_refused_release(world: World) -> str:
    """What the release says that was to keep the holding of now; nothing has moved."""
    command_id = ask(world, "release", uuid4(), strategy="keep_frozen")
    assert world.command(command_id) == ("failed", "state/holding_unknown")
    assert world.state("ETH") == "managed_active"
    return message_of(world, command_id)


UNKNOWN = "state/holding_unknown: to keep what is now held of ETH frozen its quantity must be known, found"
OR_CHOOSE = "start the bot, or choose return_to_baseline"


@pytest.mark.parametrize("positions", [{}, {"BTC": "1"}, {"ETH": "0"}])
def test_release_that_keeps_what_nobody_holds_is_refused(world: World, positions: dict[str, str]) -> None:
    world.bring_to("managed_active")
    world.write_portfolio(positions)

    # Whoever has a portfolio must look for the position in it; whoever has none must start the bot.
    assert told_of_the_refused_release(world) == f"{UNKNOWN} no position in the portfolio; {OR_CHOOSE}"


def test_release_that_keeps_what_nobody_knows_is_refused(world: World) -> None:
    world.bring_to("managed_active")

    assert told_of_the_refused_release(world) == f"{UNKNOWN} no portfolio; {OR_CHOOSE}"


def test_resume_from_its_expiry_on_is_refused(world: World) -> None:
    world.bring_to("paused")
    resumed = world.resume()
    command = world.take()
    world.advance(15 * MINUTE)
    finish(world, command)

    assert world.command(resumed) == ("failed", "expiry/command_expired")
    assert world.state("ETH") == "paused"


@pytest.mark.parametrize("verb", TYPES)
@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"dry_run": False}, "guard/dry_run_required"),
        ({"environment": "mainnet"}, "guard/environment_not_testnet"),
        ({"exchange_connection_id": str(uuid4())}, "guard/exchange_connection_not_allowed"),
        ({"leverage": 10}, "validation/schema_violation"),
        ({"subject": "BTC"}, "validation/subject_mismatch"),
    ],
)
def test_guard_and_payload_are_judged_by_every_type(
    world: World, verb: str, further: dict[str, Any], reason: str
) -> None:
    assert world.command(ask(world, verb, uuid4(), **further)) == ("failed", reason)
