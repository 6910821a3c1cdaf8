"""Asks the worker to record what is held as the baseline, every asset frozen. Source: contract §6."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.db.baseline_store import cached_holdings
from worker.guards.holdings import holdings_problems
from worker.guards.limits import refuse
from worker.services.submission import CreatedCommand, Draft, one_transaction, require_admin, require_testnet, submit


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedHolding:
    """How much of one asset the operator says is held; `quantity` in units of the asset."""

    asset: str
    quantity: Decimal


class ApplyBaselineService:
    """Validates a list of holdings and requests that it becomes the baseline."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_command(
        self,
        holdings: Sequence[RequestedHolding],
        user: int,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `apply_baseline_holdings` command, or the one the same user made before for the same holdings.

        The order of `holdings` and trailing zeros of a quantity make no difference. `connection` joins the caller's
        transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/user_not_allowed`,
        `validation/holdings_malformed` or `state/baseline_already_applied`.
        Effects: one row in `commands`, one in `audit_events`; none when refused or already there.
        """
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            pairs = [(holding.asset, holding.quantity) for holding in holdings]
            refuse(Reason.HOLDINGS_MALFORMED, holdings_problems(pairs), subject="the baseline")
            quantities = dict(sorted(pairs))
            _require_new(joined, quantities)
            draft = Draft(
                command_type=CommandType.APPLY_BASELINE_HOLDINGS,
                requested_by=requested_by,
                further={"holdings": [{"asset": asset, "quantity": held} for asset, held in quantities.items()]},
                key_of=lambda checksum: f"baseline:apply:{checksum}",
                click_id=click_id or uuid4(),
                metadata={"assets_n": len(quantities), "assets": list(quantities)},
            )
            return submit(joined, draft)


def _require_new(connection: Connection, quantities: dict[str, Decimal]) -> None:
    """Nothing unless the cache holds exactly these quantities, all frozen."""
    cached = cached_holdings(connection)
    if all(holding.frozen for holding in cached) and {h.asset: h.quantity for h in cached} == quantities:
        raise Refusal(
            Reason.BASELINE_ALREADY_APPLIED,
            f"the baseline already holds exactly these {len(quantities)} asset(s); there is nothing to apply",
        )
