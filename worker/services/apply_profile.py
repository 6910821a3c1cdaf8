"""Asks the worker for a dry run of a configuration profile. Source: contract §6 (nine layers), G10-3c."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.commands import CommandType, UserId
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import ProfileStatus
from worker.db.profile_store import StoredProfile, find_profile
from worker.guards.limits import config_problems, cross_field_problems, range_problems, refuse, risk_key_problems
from worker.guards.secrets import secret_problems
from worker.services.submission import CreatedCommand, Draft, one_transaction, require_admin, require_testnet, submit


class ApplyProfileService:
    """Validates a profile as it stands in the database and requests its dry run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_dry_run_command(
        self,
        profile: UUID,
        user: int,
        *,
        exchange_connection_id: UUID | None = None,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `apply_profile_testnet` command, or the one that the same click made before.

        `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with the reason of the first layer that says
        no, naming all its problems; `ProposalAlreadyDecided` when the profile changed between two sendings of a click.
        Effects: one row in `commands`, one in `audit_events`; none when refused or already there.
        """
        require_testnet(environment)
        click = click_id or uuid4()
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            stored = _existing_active(find_profile(joined, profile), profile)
            require_testnet(environment)
            _require_no_connection(exchange_connection_id)
            config = _allowed_config(stored)
            _require_risk_keys(stored)
            _require_ranges(stored)
            _require_cross_field(stored)
            _require_no_secret(stored, config)
            return submit(joined, _draft(stored, config, requested_by, click))


def _existing_active(stored: StoredProfile | None, profile: UUID) -> StoredProfile:
    """Layer 1."""
    if stored is None:
        raise Refusal(Reason.PROFILE_NOT_FOUND, f"profile {profile} does not exist; reload the list of profiles")
    if stored.status is not ProfileStatus.ACTIVE:
        raise Refusal(
            Reason.PROFILE_NOT_ACTIVE,
            f"profile {profile} is {stored.status.value}, expected active; activate it or choose another",
        )
    return stored


def _require_no_connection(exchange_connection_id: object) -> None:
    """Layer 3."""
    if exchange_connection_id is not None:
        raise Refusal(
            Reason.EXCHANGE_CONNECTION_NOT_ALLOWED,
            f"exchange_connection_id must be null, found a {type(exchange_connection_id).__name__}; leave it out",
        )


def _allowed_config(stored: StoredProfile) -> Mapping[str, str]:
    """Layer 4."""
    config = stored.config
    problems = config_problems(config) if isinstance(config, dict) else ("config must be an object of two keys",)
    refuse(Reason.CONFIG_NOT_ALLOWED, problems, subject=_subject(stored))
    return {str(key): str(value) for key, value in config.items()}


def _require_risk_keys(stored: StoredProfile) -> None:
    """Layer 5."""
    refuse(Reason.RISK_NOT_ALLOWED, risk_key_problems(stored.risk_settings), subject=_subject(stored))


def _require_ranges(stored: StoredProfile) -> None:
    """Layer 6."""
    refuse(Reason.VALUE_OUT_OF_RANGE, range_problems(stored.risk_settings), subject=_subject(stored))


def _require_cross_field(stored: StoredProfile) -> None:
    """Layer 7."""
    refuse(Reason.CROSS_FIELD_VIOLATION, cross_field_problems(stored.risk_settings), subject=_subject(stored))


def _require_no_secret(stored: StoredProfile, config: Mapping[str, str]) -> None:
    """Layer 8. The closed lists leave no room for a secret but the profile's name, which goes into the audit event."""
    read = {"name": stored.name, "config": config, "risk_settings": stored.risk_settings}
    refuse(Reason.SECRET_FOUND, secret_problems(read), subject=_subject(stored))


def _draft(stored: StoredProfile, config: Mapping[str, str], requested_by: UserId, click: UUID) -> Draft:
    """What layer 9, the registry's schema, then judges."""
    profile_id = str(stored.profile_id)
    return Draft(
        command_type=CommandType.APPLY_PROFILE_TESTNET,
        requested_by=requested_by,
        further={
            "profile_id": profile_id,
            "profile_version": stored.version,
            "config_summary": dict(config),
            "risk_settings": {key: _number(value) for key, value in stored.risk_settings.items()},
        },
        key_of=lambda _checksum: f"profile:dry_run:{profile_id}:{stored.version}:{click}",
        click_id=click,
        metadata={"profile_id": profile_id, "profile_name": stored.name, "profile_version": stored.version},
    )


def _number(value: Decimal) -> Any:
    """A whole number as `int`, as the payload has always shown it; the canonical form is the same."""
    return int(value) if value == value.to_integral_value() else value


def _subject(stored: StoredProfile) -> str:
    return f"profile {stored.profile_id} version {stored.version}"
