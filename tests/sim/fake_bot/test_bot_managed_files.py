"""The bot reads the worker's two files: strictly, patient with a change under way, deaf to what is damaged."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.managed_files import MAX_FILE_BYTES, Entry, ManagedFiles, Reading
from tests.sim.fake_bot.managed_home import active, documents, frozen, put
from worker.contracts.commands import CommandId
from worker.contracts.states import ManagedState
from worker.readers.baseline import Baseline, BaselineHolding
from worker.readers.managed_state import ManagedAsset, ManagedAssets, Terms
from worker.writers.baseline import encode_baseline, encode_managed_state

AT = datetime(2026, 5, 12, 9, tzinfo=UTC)


def read(home: Path) -> Reading:
    return ManagedFiles(home).read(baseline_known=False)


def test_home_without_the_two_files_has_no_baseline(home: Path) -> None:
    found = read(home)
    assert found.pair is not None
    assert (found.problem, found.pair.generation, found.pair.has_baseline, found.pair.assets) == (None, 0, False, {})


def test_two_files_are_read_with_state_quantity_and_last_command(home: Path) -> None:
    put(home, 3, ETH=active("1.25", by=7), BTC=frozen("0.1"))
    found = read(home)
    assert found.problem is None
    assert found.pair is not None
    assert (found.pair.generation, found.pair.has_baseline) == (3, True)
    assert found.pair.assets == {
        "BTC": Entry(state=ManagedState.FROZEN, command_id=UUID(int=1), baseline=Decimal("0.1")),
        "ETH": Entry(state=ManagedState.MANAGED_ACTIVE, command_id=UUID(int=7), baseline=Decimal("1.25")),
    }


@pytest.mark.parametrize("state", ManagedState)
def test_what_the_real_worker_writes_is_read(home: Path, state: ManagedState) -> None:
    command_id = CommandId(UUID(int=9))
    is_managed = state in (ManagedState.MANAGED_ACTIVE, ManagedState.PAUSED, ManagedState.DRIFT_FLAGGED)
    terms = Terms(
        variant="balanced",
        allocation_pct=Decimal("0.03"),
        stop_loss_pct=Decimal("0.04"),
        take_profit_pct=Decimal("0.08"),
    )
    holding = BaselineHolding(
        quantity=Decimal("1e-18"), frozen=not is_managed, recorded_at=AT.replace(microsecond=1), command_id=command_id
    )
    entry = ManagedAsset(
        state=state, changed_at=AT, command_id=command_id, proposal_id=None, terms=terms if is_managed else None
    )
    baseline = Baseline(generation=4, recorded_at=AT, command_id=command_id, holdings={"ETH": holding})
    (home / "state").mkdir()
    (home / paths.BASELINE).write_bytes(encode_baseline(baseline))
    (home / paths.MANAGED_STATE).write_bytes(encode_managed_state(ManagedAssets(generation=4, assets={"ETH": entry})))
    found = read(home)
    assert found.pair is not None
    assert found.pair.assets == {"ETH": Entry(state=state, command_id=command_id, baseline=Decimal("1e-18"))}
    assert found.pair.assets["ETH"].is_managed is is_managed


def tear_generations(home: Path) -> None:
    before = (home / paths.MANAGED_STATE).read_bytes()
    put(home, 4, ETH=active(by=8))
    (home / paths.MANAGED_STATE).write_bytes(before)


def put_intent(home: Path) -> None:
    (home / paths.INTENT).write_bytes(b"{}")


def take_one_away(home: Path) -> None:
    (home / paths.MANAGED_STATE).unlink()


UNSETTLED = pytest.mark.parametrize("unsettle", [tear_generations, put_intent, take_one_away])


@UNSETTLED
def test_change_under_way_leaves_the_last_good_pair(home: Path, unsettle: Callable[[Path], None]) -> None:
    files = ManagedFiles(home)
    put(home, 3, ETH=active(by=7))
    good = files.read(baseline_known=False)
    unsettle(home)
    found = files.read(baseline_known=False)
    assert found.pair == good.pair
    assert found.problem is not None
    assert "generation 3 stands" in found.problem


@UNSETTLED
def test_change_under_way_says_nothing_to_a_bot_that_has_just_started(
    home: Path, unsettle: Callable[[Path], None]
) -> None:
    put(home, 3, ETH=active(by=7))
    unsettle(home)
    found = read(home)
    assert found.pair is None
    assert found.problem is not None
    assert "nothing is traded" in found.problem


def test_first_baseline_under_way_leaves_a_bot_that_knows_of_none_as_it_was(home: Path) -> None:
    files = ManagedFiles(home)
    before = files.read(baseline_known=False)
    (home / "state").mkdir()
    put_intent(home)
    assert files.read(baseline_known=False).pair == before.pair


def test_change_that_ends_while_the_bot_looks_again_is_read_whole(home: Path) -> None:
    put(home, 3, ETH=active(by=7))
    tear_generations(home)
    # The worker's second rename falls into the bot's pause.
    files = ManagedFiles(home, pause=lambda _: put(home, 4, ETH=active(by=8)))
    found = files.read(baseline_known=False)
    assert found.problem is None
    assert found.pair is not None
    assert (found.pair.generation, found.pair.assets["ETH"].command_id) == (4, UUID(int=8))


def take_both_away(home: Path) -> None:
    (home / paths.BASELINE).unlink()
    (home / paths.MANAGED_STATE).unlink()


def test_baseline_that_has_gone_is_damage_and_not_a_bot_that_may_trade_everything(home: Path) -> None:
    files = ManagedFiles(home)
    put(home, 3, ETH=active())
    files.read(baseline_known=False)
    take_both_away(home)
    found = files.read(baseline_known=False)
    assert found.pair is None
    assert found.problem is not None
    assert str(home / paths.BASELINE) in found.problem


def test_baseline_that_the_portfolio_knows_of_and_is_not_there_is_damage(home: Path) -> None:
    found = ManagedFiles(home).read(baseline_known=True)
    assert found.pair is None
    assert found.problem is not None
    assert str(home / paths.BASELINE) in found.problem


def changed(which: int, place: str, value: Any) -> bytes:
    """One of the two whole documents with another value at `place`."""
    document = documents(3, {"ETH": active()})[which]
    *path, last = place.split(".")
    inside = document
    for name in path:
        inside = inside[name]
    inside[last] = value
    return json.dumps(document).encode()


BASELINE, STATE = paths.BASELINE, paths.MANAGED_STATE
WHOLE = json.dumps(documents(3, {"ETH": active()})[1]).encode()

DAMAGES = [
    pytest.param(STATE, b"", "line 1 column 1", id="empty"),
    pytest.param(STATE, WHOLE[:-9], "line 1 column", id="truncated"),
    pytest.param(STATE, b"\xff\xfe", "$", id="no text"),
    pytest.param(STATE, b"[" * 100_000, "$", id="bottomless"),
    pytest.param(STATE, b"[]", "$.schema_version", id="no object"),
    pytest.param(STATE, WHOLE.replace(b'"generation"', b'"assets": {}, "generation"'), "one twice", id="name twice"),
    pytest.param(STATE, changed(1, "schema_version", 2), "$.schema_version", id="other schema"),
    pytest.param(STATE, changed(1, "schema_version", True), "$.schema_version", id="version is true"),
    pytest.param(STATE, changed(1, "generation", 0), "$.generation", id="generation 0"),
    pytest.param(STATE, changed(1, "generation", 3.0), "3.0", id="generation a float"),
    pytest.param(STATE, changed(1, "extra", 1), "extra", id="unknown field"),
    pytest.param(STATE, changed(1, "assets.ETH.state", "active"), "$.assets.ETH.state", id="eleventh state"),
    pytest.param(STATE, changed(1, "assets.ETH.command_id", "7"), "$.assets.ETH.command_id", id="no command"),
    pytest.param(STATE, changed(1, "assets.ETH.terms", {}), "$.assets.ETH.terms", id="terms"),
    pytest.param(STATE, changed(1, "assets.eth", {}), "$.assets", id="asset name"),
    pytest.param(BASELINE, changed(0, "holdings.ETH.quantity", "-1"), "$.holdings.ETH.quantity", id="negative"),
    pytest.param(BASELINE, changed(0, "holdings.ETH.quantity", "1e3"), "$.holdings.ETH.quantity", id="exponent"),
    pytest.param(BASELINE, changed(0, "holdings.ETH.quantity", 1), "$.holdings.ETH.quantity", id="number"),
    pytest.param(BASELINE, changed(0, "holdings.ETH.frozen", 0), "$.holdings.ETH.frozen", id="frozen is 0"),
    pytest.param(BASELINE, changed(0, "holdings.ETH.frozen", True), "$.holdings.ETH", id="managed and frozen"),
    pytest.param(BASELINE, changed(0, "holdings", {}), "$.holdings.ETH", id="managed and not held"),
    pytest.param(BASELINE, changed(0, "recorded_at", "yesterday"), "$.recorded_at", id="time"),
    pytest.param(BASELINE, b" " * (MAX_FILE_BYTES + 1), "the end", id="too long"),
]


@pytest.mark.parametrize(("path", "content", "place"), DAMAGES)
def test_damaged_file_says_nothing_and_is_told_with_its_path_and_place(
    home: Path, path: Path, content: bytes, place: str
) -> None:
    files = ManagedFiles(home)
    put(home, 3, ETH=active())
    whole = files.read(baseline_known=False)
    (home / path).write_bytes(content)
    found = files.read(baseline_known=False)
    assert found.pair is None, "the last good pair stands for a change under way, not for damage"
    assert found.problem is not None
    assert str(home / path) in found.problem
    assert place in found.problem

    put(home, 3, ETH=active())
    assert files.read(baseline_known=False) == whole


@pytest.mark.parametrize(
    "block", [os.mkdir, os.mkfifo, lambda path: os.symlink(path, path)], ids=["folder", "pipe", "loop"]
)
@pytest.mark.parametrize("path", [BASELINE, STATE], ids=str)
def test_thing_that_is_no_file_says_nothing_and_holds_nobody_up(
    home: Path, path: Path, block: Callable[[Path], None]
) -> None:
    put(home, 3, ETH=active())
    (home / path).unlink()
    block(home / path)
    found = read(home)
    assert found.pair is None
    assert found.problem is not None
    assert str(home / path) in found.problem
