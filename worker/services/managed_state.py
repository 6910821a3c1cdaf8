"""Asks the worker to pause, resume or release a managed asset, or to look at a promotion without doing it.

An asset's state is read from its latest history row; the handler looks again, in the file. Source: contract §6, §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ProposalNotFound
from worker.contracts.transitions import require_path
from worker.db.command_store import find_by_key
from worker.guards.decisions import require_variant
from worker.services.asset_state import require_asset_name, state_of
from worker.services.stored_proposals import existing_row, read_document
from worker.services.submission import CreatedCommand, Draft, one_transaction, require_admin, require_testnet, submit

STRATEGIES = ("keep_frozen", "return_to_baseline")
"""What is frozen at a release: the quantity now held, or the recorded one."""

_COMMANDS: Mapping[str, CommandType] = MappingProxyType(
    {
        "pause": CommandType.PAUSE_MANAGED_ASSET,
        "resume": CommandType.RESUME_MANAGED_ASSET,
        "release": CommandType.RELEASE_MANAGED_ASSET,
    }
)


class ManagedStateService:
    """Moves an asset that is managed; promotes none, but says whether it could be."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_pause_command(
        self,
        asset: str,
        user: int,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `pause_managed_asset` command, or the one that the same click made before.

        `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/user_not_allowed`,
        `state/asset_not_in_baseline` or `state/illegal_transition`.
        Effects: one row each in `commands` and `audit_events`; none when refused or already there.
        """
        move = _Move(verb="pause", asset=asset, user=user, click_id=click_id)
        return self._create(move, environment=environment, connection=connection)

    def create_resume_command(
        self,
        asset: str,
        user: int,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `resume_managed_asset` command, or the one that the same click made before.

        Of a paused asset, or of one flagged for drift, whose holding the operator thereby accepts. `connection`, what
        it raises and its effects as `create_pause_command`.
        """
        move = _Move(verb="resume", asset=asset, user=user, click_id=click_id)
        return self._create(move, environment=environment, connection=connection)

    def create_release_command(
        self,
        asset: str,
        user: int,
        strategy: str,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `release_managed_asset` command, or the one that the same click made before.

        `strategy` is `keep_frozen` (freezes the quantity now held) or `return_to_baseline` (restores the recorded
        one). `connection` and effects as `create_pause_command`.

        Raises: as `create_pause_command`, and `Refusal` (`validation/strategy_required`).
        """
        move = _Move(verb="release", asset=asset, user=user, click_id=click_id, strategy=strategy)
        return self._create(move, environment=environment, connection=connection)

    def create_promote_dry_run_command(
        self,
        asset: str,
        proposal: UUID,
        variant: str,
        user: int,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `dry_run_promote_managed` command, or the one that the same click made before.

        `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/user_not_allowed`,
        `state/asset_not_in_baseline` (no name of an asset) or `validation/variant_unknown`; `ProposalNotFound`, also
        for another asset's proposal; `ProposalNotReadable`.
        Effects: one row each in `commands` and `audit_events`; none when refused or already there.
        """
        require_testnet(environment)
        click = click_id or uuid4()
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            name = require_asset_name(asset)
            row = existing_row(joined, proposal)
            if row.asset != name:
                raise ProposalNotFound(row.proposal_id, asset=name)
            chosen = require_variant(read_document(row), variant)
            further = {"asset": name, "proposal_id": str(row.proposal_id), "variant": chosen.name.value}
            draft = Draft(
                command_type=CommandType.DRY_RUN_PROMOTE_MANAGED,
                requested_by=requested_by,
                further=further,
                key_of=lambda _checksum: f"mh:promote:{row.proposal_id}:{click}",
                click_id=click,
                metadata=further,
            )
            return submit(joined, draft)

    def _create(self, move: "_Move", *, environment: str, connection: Connection | None) -> CreatedCommand:
        """The command of `move`, written in one transaction."""
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            return _submit_move(joined, move)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What a page asks for: `asset` along the path of `verb`; only a release has a strategy."""

    verb: str
    asset: str
    user: int
    click_id: UUID | None
    strategy: str | None = None


def _submit_move(connection: Connection, move: _Move) -> CreatedCommand:
    asset, verb, click = move.asset, move.verb, move.click_id or uuid4()
    requested_by = require_admin(connection, move.user)
    further = {"asset": require_asset_name(asset)}
    if verb == "release":
        further["strategy"] = _known_strategy(move.strategy, asset)
    state = state_of(connection, asset)
    key = f"mh:{verb}:{asset}:{click}"
    # A click that is sent again may come when its command has moved the asset already; it gets that command back.
    if find_by_key(connection, key) is None:
        require_path(asset, state, verb)
    draft = Draft(
        command_type=_COMMANDS[verb],
        requested_by=requested_by,
        further=further,
        key_of=lambda _checksum: key,
        click_id=click,
        metadata={**further, "state_from": state.value},
    )
    return submit(connection, draft)


def _known_strategy(strategy: object, asset: str) -> str:
    if not isinstance(strategy, str) or strategy not in STRATEGIES:
        raise Refusal(
            Reason.STRATEGY_REQUIRED,
            f"the release of {asset} needs a strategy, {' or '.join(STRATEGIES)}; choose what shall be frozen",
        )
    return strategy
