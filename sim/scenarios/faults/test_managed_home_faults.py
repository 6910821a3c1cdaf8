"""Managed commands in a home that is damaged, full or read-only.

Asked in review: a state file was cut short, or the disk was full, while ETH was being approved; was it half done,
and did anybody notice where the damage was?
Must hold: the worker names the file and the place and ends with exit code 1; the command waits and goes on once the
home is whole; nothing is half written, and no proposal is ever written twice.
"""

import json
from collections.abc import Callable

import pytest

from sim.story import UNWATCHED, CreatedCommand, ProposalView, Stack, minutes, seconds
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

LEASE = seconds(60)


def _request(stack: Stack) -> CreatedCommand:
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    return stack.operator("day").request("ETH")


def _approve(stack: Stack) -> CreatedCommand:
    return stack.operator("day").approve(stack.given.risk_proposed("ETH"), "balanced")


def _pause(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.operator("day").pause("ETH")


def _release(stack: Stack) -> CreatedCommand:
    stack.given.portfolio({"ETH": "1.75"})
    stack.given.managed_active("ETH")
    return stack.operator("day").release("ETH", "keep_frozen")


CLICKS: dict[str, Callable[[Stack], CreatedCommand]] = {"request": _request, "approve": _approve, "release": _release}


def _state(stack: Stack) -> dict[str, bytes]:
    """Every file below `state/` but the lock, with its content."""
    state = stack.home / "state"
    return {
        path.relative_to(state).as_posix(): path.read_bytes()
        for path in sorted(state.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


DAMAGED: dict[str, tuple[Callable[[Stack], CreatedCommand], str, Callable[[bytes], bytes], str]] = {
    "managed state cut short": (_approve, "state/managed_state.json", lambda content: content[:60], "line"),
    "managed state of eleven states": (
        _pause,
        "state/managed_state.json",
        lambda content: content.replace(b'"managed_active"', b'"managed"'),
        "$.assets.ETH.state",
    ),
    "baseline without a quantity": (
        _pause,
        "state/baseline_holdings.json",
        lambda content: content.replace(b'"quantity": "2"', b'"quantity": "two"'),
        "$.holdings.ETH.quantity",
    ),
    "market with a price below zero": (
        _request,
        "state/market_snapshot.json",
        lambda content: content.replace(b'"last_price": "', b'"last_price": "-', 1),
        "last_price",
    ),
    "portfolio cut short": (_release, "live_portfolio.json", lambda content: content[:-20], "line"),
}
"""The click, the file that is damaged before it is run, how, and the place that the error must name."""


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_is_named_with_its_place_and_the_command_waits_for_it(stack: Stack, name: str) -> None:
    click, file, damage, place = DAMAGED[name]
    command = click(stack)
    before = stack.path_of("ETH")

    with stack.given.damaged(file, damage) as path, stack.witness.no_mutation():
        ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).status) == (1, CommandStatus.RUNNING)
    assert Reason.DAMAGED_FILE in ended.stderr
    assert (str(path) in ended.stderr, place in ended.stderr) == (True, True)
    assert stack.path_of("ETH") == before

    # It is restored from a backup, and the command goes on.
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def _proposal_file(proposal: ProposalView) -> str:
    return f"state/risk_proposals/{proposal.proposal_id}.json"


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "of another proposal": lambda content: json.dumps(
        {**json.loads(content), "proposal_id": "00000000-0000-4000-8000-000000000001"}
    ).encode(),
    "with a number for a decimal": lambda content: content.replace(
        b'"overall_score": "', b'"overall_score": 0, "x": "'
    ),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_decision_on_a_damaged_proposal_file_waits_until_it_is_restored(stack: Stack, spoiled: str) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.leaves_behind(_proposal_file(proposal))
    command = stack.operator("day").approve(proposal, "balanced")
    path = stack.home / _proposal_file(proposal)
    whole = path.read_bytes()
    path.write_bytes(SPOILED[spoiled](whole))

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).status) == (1, CommandStatus.RUNNING)
    assert Reason.DAMAGED_FILE in ended.stderr
    assert str(path) in ended.stderr

    path.write_bytes(whole)
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_decision_on_a_proposal_whose_file_is_gone_is_refused_and_the_asset_comes_free(stack: Stack) -> None:
    # Nobody can say any more what would be approved. The row's fifteen minutes are all that is left of it.
    stack.expects(Reason.PROPOSAL_NOT_FOUND)
    proposal = stack.given.risk_proposed("ETH")
    stack.leaves_behind(_proposal_file(proposal))
    command = stack.operator("day").approve(proposal, "balanced")
    (stack.home / _proposal_file(proposal)).unlink()

    stack.worker.run_once()
    assert stack.command(command).reason == Reason.PROPOSAL_NOT_FOUND
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

    stack.clock.advance(minutes(15))
    stack.worker.run_once()
    assert (stack.proposal(proposal).state, stack.asset("ETH").state) == (ManagedState.EXPIRED, ManagedState.FROZEN)
    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED


def test_damaged_proposal_file_keeps_its_own_sweep_waiting_and_no_other(stack: Stack) -> None:
    # The damaged one is due first, so that the sweep meets it first.
    eth = stack.given.risk_proposed("ETH")
    stack.clock.advance(seconds(1))
    btc = stack.given.risk_proposed("BTC")
    stack.leaves_behind(_proposal_file(eth))
    path = stack.home / _proposal_file(eth)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    stack.clock.advance(minutes(15))

    ended = [stack.worker.run_once()]
    assert [stack.proposal(one).state for one in (eth, btc)] == [ManagedState.RISK_PROPOSED, ManagedState.EXPIRED]

    # However many workers come by, each says with its exit code that a person is needed, and the trail says it once.
    ended += [stack.worker.run_once() for _ in range(2)]
    assert [(one.exit_code, path.name in one.stderr) for one in ended] == [(1, True)] * 3
    told = stack.rows.query("SELECT metadata FROM audit_events WHERE event_type = 'managed.proposal_set_aside'")
    assert [(row["metadata"]["asset"], row["metadata"]["file"]) for row in told] == [("ETH", _proposal_file(eth))]

    path.write_bytes(whole)
    assert stack.worker.run_once().exit_code == 0
    assert stack.proposal(eth).state is ManagedState.EXPIRED


def test_proposal_that_a_dead_attempt_wrote_stands_and_is_not_written_again(stack: Stack) -> None:
    # The first attempt died between its proposal and the two files, on a full disk; the market has moved since.
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2", **{f"COIN{number}": "10" for number in range(80)}})
    command = stack.operator("day").request("ETH")
    assert _run_on_full_disk(stack, max_bytes=12_000) == 1
    (name,) = [name for name in _state(stack) if name.startswith("risk_proposals/")]
    path = stack.home / "state" / name
    first = (path.read_bytes(), path.stat().st_ino)
    assert stack.asset("ETH").state is ManagedState.FROZEN
    stack.given.market(prices={"ETH": "1234"})

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert (path.read_bytes(), path.stat().st_ino) == first
    assert stack.proposal(command).document == json.loads(first[0])


@pytest.mark.parametrize(("name", "max_bytes"), [("request", 100), ("approve", 1_000), ("release", 100)])
def test_managed_command_on_a_full_disk_leaves_nothing_half_written(stack: Stack, name: str, max_bytes: int) -> None:
    command = CLICKS[name](stack)
    before = _state(stack)

    exit_code = _run_on_full_disk(stack, max_bytes=max_bytes)

    assert (exit_code, stack.command(command).status) == (1, CommandStatus.RUNNING)
    assert _state(stack) == before

    # Somebody makes room.
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def _run_on_full_disk(stack: Stack, *, max_bytes: int) -> int:
    """The exit code of a worker that has claimed its command when the disk fills up."""
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "full", environment=UNWATCHED)
        stack.worker.wait_until_blocked(worker)
        stack.faults.disk_full_after(worker, max_bytes)
    return worker.wait().exit_code


@pytest.mark.parametrize("name", CLICKS)
def test_managed_command_in_a_read_only_home_waits_until_it_can_be_written(stack: Stack, name: str) -> None:
    command = CLICKS[name](stack)
    with stack.witness.no_mutation(), stack.faults.read_only_home(but=["logs"]) as environment:
        ended = stack.worker.run_once(environment=environment)

    assert (ended.exit_code, stack.command(command).status) == (1, CommandStatus.RUNNING)
    assert Reason.HOME_NOT_WRITABLE in ended.stderr

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 2)


def test_sweep_in_a_read_only_home_keeps_no_dry_run_waiting(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(minutes(15))
    dry_run = stack.operator("day").apply_profile(stack.given.profile(name="other"))

    with stack.witness.no_mutation(), stack.faults.read_only_home(but=["logs"]) as environment:
        ended = stack.worker.run_once(environment=environment)

    assert (ended.exit_code, stack.command(dry_run).status) == (1, CommandStatus.SUCCEEDED)
    assert Reason.HOME_NOT_WRITABLE in ended.stderr
    assert stack.proposal(proposal).state is ManagedState.RISK_PROPOSED

    stack.worker.run_once()
    assert stack.proposal(proposal).state is ManagedState.EXPIRED


def test_lapsed_change_in_a_damaged_home_is_set_aside_and_keeps_no_dry_run_waiting(stack: Stack) -> None:
    # A pause is on disk and its rows were cut off; then somebody damages the other file.
    command = _pause(stack)
    with stack.holding("LOCK TABLE managed_assets_history IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    stack.clock.advance(LEASE)
    dry_run = stack.operator("day").apply_profile(stack.given.profile(name="other"))

    with stack.given.damaged("state/baseline_holdings.json", lambda content: content[:40]), stack.witness.no_mutation():
        ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.command(dry_run).status) == (1, CommandStatus.SUCCEEDED)
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.RUNNING, 1)

    stack.worker.run_once("third")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
