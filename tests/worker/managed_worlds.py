"""A home, its database and the real services and worker around it, for whatever concerns managed holdings.

The clock stands still until a test moves it; every asset, proposal and decision comes about through a service and the
worker, so that a test begins where an operator would stand.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine

from sim.postgres.leases import Lease
from sim.postgres.template import sqlalchemy_url
from worker.bus.claim import claim_once
from worker.bus.context import BusContext
from worker.bus.execute import finish_started
from worker.bus.loop import run_at_most, step
from worker.contracts.canonical_json import checksum, dumps_canonical
from worker.contracts.states import ManagedState
from worker.db import bus_store
from worker.db.bus_store import ClaimedCommand
from worker.db.session import connect_autocommit, open_engine
from worker.handlers.registry import HANDLERS
from worker.readers.home import Home
from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding
from worker.services.apply_profile import ApplyProfileService
from worker.services.drift import DriftEvidence, DriftService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand
from worker.settings import POLL_S

NOW = datetime(2026, 5, 12, 9, tzinfo=UTC)
ADMIN, NIGHT_ADMIN = 23, 24
PROFILE = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
OTHER_PROFILE = UUID("11111111-0f90-4c6a-9b55-2a31648f10d5")
RISK = {
    "max_risk_per_trade_pct": "0.005",
    "max_total_exposure_pct": "0.20",
    "max_open_positions": "4",
    "daily_loss_limit_pct": "0.02",
    "weekly_loss_limit_pct": "0.05",
    "tier_low_allocation_pct": "0.01",
    "tier_mid_allocation_pct": "0.03",
    "tier_high_allocation_pct": "0.05",
    "cash_reserve_pct": "0.10",
    "fee_buffer_pct": "0.002",
    "min_position_value_usdt": "10",
}
HOLDINGS = {"BTC": Decimal("0.5"), "ETH": Decimal("2"), "SOL": Decimal("100")}
PRICES = {"BTC": Decimal("60000"), "ETH": Decimal("3000"), "SOL": Decimal("150")}
MINUTE = timedelta(minutes=1)

FAILING_HISTORY = """
CREATE FUNCTION fail_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'told to' USING ERRCODE = '57P01'; END $$;
CREATE TRIGGER fail_history BEFORE INSERT ON managed_assets_history FOR EACH ROW EXECUTE FUNCTION fail_history();
"""
"""The database breaks off while rows are written: files changed by then stay changed."""

WORKING_HISTORY = "DROP FUNCTION fail_history CASCADE"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything there is, and what its people do. `connection` is an outsider's, with SQL access."""

    connection: psycopg.Connection[Any]
    engine: Engine
    context: BusContext
    home: Home

    # What is there.

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def command(self, command: CreatedCommand | UUID) -> tuple[str, str | None]:
        """Its status and, where it failed, the reason."""
        command_id = command if isinstance(command, UUID) else command.command_id
        (row,) = self.rows("SELECT status, result_json FROM commands WHERE command_id = %s", command_id)
        return row["status"], (row["result_json"] or {}).get("reason")

    def result(self, command: CreatedCommand) -> dict[str, Any]:
        (row,) = self.rows("SELECT result_json FROM commands WHERE command_id = %s", command.command_id)
        return dict(row["result_json"])

    def log_of(self, command: CreatedCommand) -> list[str]:
        query = "SELECT event_type FROM command_audit_log WHERE command_id = %s ORDER BY id"
        return [row["event_type"] for row in self.rows(query, command.command_id)]

    def events_of(self, command: CreatedCommand) -> list[str]:
        """The worker's own audit events of that command, without the request's."""
        query = (
            "SELECT event_type FROM audit_events WHERE command_id = %s AND event_type NOT LIKE '%%_requested' "
            "ORDER BY id"
        )
        return [row["event_type"] for row in self.rows(query, command.command_id)]

    def events_of_nobody(self) -> list[str]:
        """The audit events that belong to no command."""
        return [
            row["event_type"]
            for row in self.rows("SELECT event_type FROM audit_events WHERE command_id IS NULL ORDER BY id")
        ]

    def differences(self) -> list[str]:
        """All differences that drift events told of, in their order."""
        query = "SELECT metadata FROM audit_events WHERE event_type = 'managed.cache_drift_detected' ORDER BY id"
        return [one for row in self.rows(query) for one in row["metadata"]["differences"]]

    def proposal_row(self, proposal_id: UUID) -> dict[str, Any]:
        (row,) = self.rows("SELECT * FROM managed_proposals WHERE proposal_id = %s", proposal_id)
        return row

    def history(self, asset: str) -> list[tuple[str | None, str]]:
        query = "SELECT state_from, state_to FROM managed_assets_history WHERE asset = %s ORDER BY ts, id"
        return [(row["state_from"], row["state_to"]) for row in self.rows(query, asset)]

    def cached(self, asset: str) -> tuple[Decimal, bool]:
        (row,) = self.rows("SELECT quantity, frozen FROM baseline_holdings WHERE asset = %s", asset)
        return row["quantity"], row["frozen"]

    def entry(self, asset: str) -> dict[str, Any]:
        return dict(json.loads(self.home.managed_state.read_text())["assets"][asset])

    def state(self, asset: str) -> str:
        return str(self.entry(asset)["state"])

    def holding(self, asset: str) -> dict[str, Any]:
        return dict(json.loads(self.home.baseline_holdings.read_text())["holdings"][asset])

    def generations(self) -> tuple[int, int]:
        """Of both files; a change that is whole leaves them equal."""
        files = (self.home.baseline_holdings, self.home.managed_state)
        first, second = (json.loads(file.read_text())["generation"] for file in files)
        return first, second

    def files(self) -> dict[str, bytes]:
        """Every file of `state/` but the lock, by its name."""
        return {
            str(path.relative_to(self.home.state)): path.read_bytes()
            for path in sorted(self.home.state.rglob("*"))
            if path.is_file() and path != self.home.lock
        }

    def disagreements(self) -> list[str]:
        """Where files and rows tell two stories; empty when the stack is at rest and nothing was lost."""
        assets = json.loads(self.home.managed_state.read_text())["assets"]
        found = []
        for asset, entry in assets.items():
            latest = self.history(asset)[-1][1] if self.history(asset) else "frozen"
            holding = self.holding(asset)
            if latest != entry["state"]:
                found.append(f"{asset} is {entry['state']}, its history ends in {latest}")
            if self.cached(asset) != (Decimal(holding["quantity"]), holding["frozen"]):
                found.append(f"{asset} is held as {holding}, cached as {self.cached(asset)}")
            if entry["state"] in ("proposal_pending", "risk_proposed"):
                row = self.proposal_row(UUID(entry["proposal_id"]))
                if row["state"] != entry["state"]:
                    found.append(f"proposal of {asset} is {row['state']}")
        return found

    # What happens to it.

    def advance(self, by: timedelta) -> None:
        """Effects: the database's clock stands still that much later."""
        self.rows("UPDATE simclock.moves SET virtual_at = virtual_at + %s", by)

    def run(self, *, max_commands: int = 20) -> int:
        """How many commands the worker ran until nothing was left."""
        for done in range(max_commands):
            if not step(self.context):
                return done
        raise AssertionError(f"more than {max_commands} commands")

    def run_once(self) -> int:
        """How many commands one process with `--once` ran."""
        return run_at_most(self.context, 1, should_stop=lambda: False)

    def take(self) -> ClaimedCommand:
        """The next command, claimed and started by the worker, not yet run."""
        command = claim_once(self.context).command
        assert command is not None
        assert bus_store.start(self.context.connection, command) is not None
        return command

    def write_market(self, *, assets: Mapping[str, Decimal] = PRICES, days: int = 30, at: datetime = NOW) -> None:
        """Effects: the bot's market snapshot: closes that move by two parts in a hundred, the last price among them."""
        document = {
            "schema_version": 1,
            "generated_at": at.isoformat().replace("+00:00", "Z"),
            "assets": {
                asset: {
                    "last_price": str(price),
                    "daily_closes": [
                        {
                            "date": (date(2026, 5, 11) - timedelta(days=days - 1 - day)).isoformat(),
                            "close": str(price * (Decimal("0.98") if day % 2 == days % 2 else Decimal(1))),
                        }
                        for day in range(days)
                    ],
                }
                for asset, price in assets.items()
            },
        }
        self.home.market_snapshot.write_text(json.dumps(document))

    def write_portfolio(self, positions: Mapping[str, str]) -> None:
        """Effects: what the bot says it holds."""
        document = {
            "schema_version": 1,
            "cycle": 7,
            "updated_at": "2026-05-12T08:59:00Z",
            "cash_usdt": "10000",
            "positions": {
                asset: {"quantity": quantity, "average_price": "100"} for asset, quantity in positions.items()
            },
        }
        self.home.live_portfolio.write_text(json.dumps(document))

    def add_profile(self, profile_id: UUID = PROFILE, *, status: str = "active", **risk: str) -> None:
        """Effects: a profile with the reference risk settings, but for those given."""
        self.rows(
            "INSERT INTO config_profiles (profile_id, name, version, status, config) VALUES (%s, 'p', 1, %s, %s)",
            *(profile_id, status, json.dumps({"log_level": "info", "decision_log_verbosity": "full"})),
        )
        for key, value in {**RISK, **risk}.items():
            self.rows("INSERT INTO risk_settings VALUES (%s, %s, %s)", profile_id, key, Decimal(value))

    def edit_row(self, proposal_id: UUID, assignment: str) -> None:
        """Effects: the proposal's row, past every rule."""
        self.rows(f"UPDATE managed_proposals SET {assignment} WHERE proposal_id = %s", proposal_id)

    def put(self, command_type: str, *, user: int | None = ADMIN, subject: str | None = None, **fields: Any) -> UUID:
        """The id of a command made past every service: `fields` beside what every payload has."""
        command_id = uuid4()
        payload = {
            "requested_by": user,
            "dry_run": True,
            "environment": "testnet",
            "exchange_connection_id": None,
            **fields,
        }
        payload |= {"checksum": checksum(payload), "expires_at": None}
        self.rows(
            "INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, requested_by) "
            "VALUES (%s, %s, %s, %s::json, %s, %s)",
            *(command_id, command_type, subject or fields["asset"], dumps_canonical(payload).decode()),
            *(str(command_id), user),
        )
        return command_id

    # What its people do.

    @property
    def proposals(self) -> ProposalService:
        return ProposalService(self.engine)

    @property
    def management(self) -> ManagedStateService:
        return ManagedStateService(self.engine)

    def apply_profile(self) -> CreatedCommand:
        """A dry run, which needs nothing of the home."""
        return ApplyProfileService(self.engine).create_dry_run_command(PROFILE, ADMIN)

    def request(self, asset: str = "ETH", *, intent: str = "hold for the summer") -> CreatedCommand:
        return self.proposals.create_request_command(asset, ADMIN, intent)

    def approve(
        self,
        proposal_id: UUID,
        variant: str = "balanced",
        *,
        asset: str = "ETH",
        overrides: Mapping[str, Decimal] | None = None,
    ) -> CreatedCommand:
        return self.proposals.create_approve_command(
            proposal_id, ADMIN, variant, overrides, f"{asset}:{variant}", confidence_override=True
        )

    def reject(self, proposal_id: UUID, reason: str = "spread too wide") -> CreatedCommand:
        return self.proposals.create_reject_command(proposal_id, NIGHT_ADMIN, reason)

    def pause(self, asset: str = "ETH") -> CreatedCommand:
        return self.management.create_pause_command(asset, ADMIN)

    def resume(self, asset: str = "ETH") -> CreatedCommand:
        return self.management.create_resume_command(asset, ADMIN)

    def release(self, asset: str = "ETH", strategy: str = "return_to_baseline") -> CreatedCommand:
        return self.management.create_release_command(asset, ADMIN, strategy)

    def flag(self, asset: str = "ETH", *, found: str = "1.5") -> CreatedCommand:
        evidence = DriftEvidence(expected=Decimal(2), found=Decimal(found), generation=self.generations()[0])
        return DriftService(self.engine).create_flag_command(asset, evidence)

    # Where a test begins.

    def proposal_of(self, asset: str) -> UUID:
        """The proposal the asset's latest request is for."""
        query = (
            "SELECT payload->>'proposal_id' AS proposal_id FROM commands "
            "WHERE subject = %s AND command_type = 'request_managed_proposal' ORDER BY id DESC LIMIT 1"
        )
        return UUID(self.rows(query, asset)[0]["proposal_id"])

    def proposed(self, asset: str = "ETH") -> UUID:
        """An open proposal for the asset."""
        command = self.request(asset)
        self.run()
        assert self.command(command) == ("succeeded", None)
        return self.proposal_of(asset)

    def bring_to(self, state: str, asset: str = "ETH") -> UUID | None:
        """The proposal that the asset then stands under, if any; `frozen` is where it stands already."""
        if state == ManagedState.FROZEN:
            return None
        proposal_id = self.proposed(asset)
        if state == ManagedState.RISK_PROPOSED:
            return proposal_id
        self.approve(proposal_id, asset=asset)
        self.run()
        further = {ManagedState.PAUSED: self.pause, ManagedState.DRIFT_FLAGGED: self.flag}
        if state in further:
            further[ManagedState(state)](asset)
            self.run()
        assert self.state(asset) == state
        return proposal_id


@contextmanager
def open_world(lease: Lease, home: Home) -> Iterator[World]:
    """A baseline of three assets applied, one active profile, a market snapshot; two admins."""
    lease.connection.execute(
        "INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', %s, false)", (NOW,)
    )
    engine = open_engine(sqlalchemy_url(lease.address), application_name="managed-test")
    with (
        psycopg.connect(lease.address.conninfo(), autocommit=True) as connection,
        connect_autocommit(engine) as worker_connection,
    ):
        context = _context(worker_connection, "w1", home)
        world = World(connection=connection, engine=engine, context=context, home=home)
        for user in (ADMIN, NIGHT_ADMIN):
            world.rows("INSERT INTO users (id, name, email, role) VALUES (%s, 'a', %s, 'admin')", user, f"{user}@x")
        world.add_profile()
        world.write_market()
        ApplyBaselineService(engine).create_command(
            [RequestedHolding(asset=asset, quantity=quantity) for asset, quantity in HOLDINGS.items()], ADMIN
        )
        assert world.run() == 1
        yield world
    engine.dispose()


@contextmanager
def another_worker(world: World) -> Iterator[BusContext]:
    """A second worker beside the world's own."""
    with connect_autocommit(world.engine) as connection:
        yield _context(connection, "w2", world.home)


def _context(connection: Connection, worker_id: str, home: Home) -> BusContext:
    """What a worker carries that tries the home lock once."""
    return BusContext(
        connection=connection, worker_id=worker_id, home=home, handlers=HANDLERS, poll_s=POLL_S, lock_wait_s=0.0
    )


def finish(world: World, command: ClaimedCommand) -> None:
    """Effects: the started command is carried to its result."""
    now = bus_store.renew(world.context.connection, command)
    assert now is not None
    finish_started(world.context, command, now)
