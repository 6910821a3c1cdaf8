"""An asset's history: rows in their order, and the latest of them says where it stands."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from sim.postgres.leases import Lease
from tests.worker.db.conftest import set_clock, wait_until_it_waits
from tests.worker.services.managed import INSTANT
from worker.contracts.states import ManagedState
from worker.db.baseline_store import CachedHolding, cached_holdings, lock_holding, replace_cached_holdings
from worker.db.history_store import HistoryRow, asset_state, history_of, insert_history
from worker.db.profile_store import active_profiles
from worker.db.session import execute, transaction

S = ManagedState
TIMEOUT_S = 20


def move(state_from: S, state_to: S, asset: str = "ETH") -> HistoryRow:
    return HistoryRow(
        asset=asset,
        state_from=state_from,
        state_to=state_to,
        actor="user:23",
        event_type="managed.asset_approval_succeeded",
        metadata={"generation": 3, "share": Decimal("0.03")},
    )


APPROVAL = [move(S.RISK_PROPOSED, S.APPROVED), move(S.APPROVED, S.MANAGED_ACTIVE)]


def times(connection: Connection) -> list[datetime]:
    return [
        row[0] for row in execute(connection, "SELECT timezone('UTC', ts) FROM managed_assets_history ORDER BY id", {})
    ]


def holding(quantity: str, asset: str = "ETH") -> CachedHolding:
    return CachedHolding(asset=asset, quantity=Decimal(quantity), frozen=True, recorded_at=INSTANT)


def test_rows_of_one_change_keep_their_order_and_content(still: Connection) -> None:
    insert_history(still, APPROVAL)

    assert history_of(still, "ETH") == APPROVAL
    assert times(still) == [INSTANT] * 2
    assert asset_state(still, "ETH") is S.MANAGED_ACTIVE
    assert history_of(still, "BTC") == []


def test_no_rows_are_no_change(still: Connection) -> None:
    insert_history(still, [])
    assert times(still) == []


def test_row_without_origin_and_metadata_is_kept_so(still: Connection) -> None:
    bare = HistoryRow(asset="ETH", state_from=None, state_to=S.FROZEN, actor="worker", event_type="managed.told")
    insert_history(still, [bare])
    assert history_of(still, "ETH") == [bare]


def test_asset_without_history_is_frozen_if_it_is_held(still: Connection) -> None:
    replace_cached_holdings(still, [holding("2")])
    insert_history(still, [move(S.FROZEN, S.PROPOSAL_PENDING, "BTC")])

    assert asset_state(still, "ETH") is S.FROZEN
    assert asset_state(still, "BTC") is S.PROPOSAL_PENDING
    assert asset_state(still, "SOL") is None


@pytest.mark.parametrize("next_time", ["2026-05-09T10:00:00Z", "2026-05-09T09:00:00Z", "2026-05-09T08:00:00Z"])
def test_later_row_says_where_the_asset_stands_also_when_the_clock_was_set_back(
    still: Connection, still_lease: Lease, next_time: str
) -> None:
    insert_history(still, APPROVAL)
    set_clock(still_lease, next_time)
    insert_history(still, [move(S.MANAGED_ACTIVE, S.PAUSED)])

    assert asset_state(still, "ETH") is S.PAUSED
    assert history_of(still, "ETH")[-1].state_to is S.PAUSED


def test_clock_set_back_does_not_hold_another_asset_up(still: Connection, still_lease: Lease) -> None:
    insert_history(still, APPROVAL)
    set_clock(still_lease, "2026-05-09T08:00:00Z")
    insert_history(still, [move(S.FROZEN, S.PROPOSAL_PENDING, "BTC")])

    assert times(still)[-1] == INSTANT - timedelta(hours=1)


def test_history_is_in_utc_whatever_the_session_says(still: Connection) -> None:
    execute(still, "SET TimeZone = 'Asia/Tokyo'", {})
    insert_history(still, APPROVAL)
    assert times(still) == [INSTANT] * 2


def test_locked_holding_is_read_and_kept_from_others(still: Connection, connect: Callable[[], Connection]) -> None:
    replace_cached_holdings(still, [holding("2")])
    other = connect()
    with transaction(still):
        found = lock_holding(still, "ETH")
        free = execute(other, "SELECT asset FROM baseline_holdings FOR UPDATE SKIP LOCKED", {})

    assert found == cached_holdings(still)[0]
    assert free == []
    assert execute(other, "SELECT asset FROM baseline_holdings FOR UPDATE SKIP LOCKED", {}) == [("ETH",)]


def test_holding_that_nobody_has_is_none(still: Connection) -> None:
    replace_cached_holdings(still, [holding("2")])
    assert lock_holding(still, "BTC") is None


def test_holding_that_is_written_anew_while_its_lock_is_waited_for_is_found(
    still: Connection, connect: Callable[[], Connection]
) -> None:
    replace_cached_holdings(still, [holding("2")])
    other = connect()
    with ThreadPoolExecutor(max_workers=1) as threads:
        with transaction(still):
            replace_cached_holdings(still, [holding("3")])
            sent = threads.submit(lock_holding, other, "ETH")
            wait_until_it_waits(still, other)
        found = sent.result(TIMEOUT_S)

    assert found == holding("3")


@pytest.mark.parametrize(
    ("statuses", "found"), [("", 0), ("draft archived", 0), ("active draft", 1), ("active " * 3, 2)]
)
def test_active_profiles_are_told_up_to_two(still: Connection, statuses: str, found: int) -> None:
    for status in statuses.split():
        execute(
            still,
            "WITH made AS (INSERT INTO config_profiles (profile_id, name, version, status, config)"
            " VALUES (gen_random_uuid(), 'p', 1, %(status)s, '{}') RETURNING profile_id)"
            " INSERT INTO risk_settings SELECT profile_id, 'fee_buffer_pct', 0.002 FROM made",
            {"status": status},
        )
    profiles = active_profiles(still)

    assert len(profiles) == found
    assert [profile.risk_settings for profile in profiles] == [{"fee_buffer_pct": Decimal("0.002")}] * found
    assert [profile.status.value for profile in profiles] == ["active"] * found
