"""The layers of the command bus: services, and what a worker judges of a command that it is about to carry out."""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any
from uuid import UUID

from sim.guard.refusal import Layer, refusal
from sim.guard_matrix.bus_rows import put
from worker.bus import envelope, execute
from worker.contracts.errors import Refusal
from worker.contracts.payloads import read_payload
from worker.db.session import driver
from worker.handlers import payload_check
from worker.services.apply_profile import ApplyProfileService


def put_in_force(layers: AbstractSet[Layer]) -> None:
    """Effects: for the rest of this process; see `sim.guard_matrix.knock_out.put_in_force`."""
    if Layer.SERVICE in layers:
        _record_the_service()
    else:
        setattr(ApplyProfileService, "create_dry_run_command", _careless_click)  # noqa: B010 - knocked out on purpose
    if Layer.HANDLER not in layers:
        setattr(payload_check, "require_testnet_payload", lambda _: None)  # noqa: B010
        setattr(payload_check, "TESTNET", _Anything("testnet"))  # noqa: B010
        setattr(execute, "env_file_problems", lambda *_: [])  # noqa: B010
    if Layer.SCHEMA not in layers:
        setattr(envelope, "parse", _last_wins)  # noqa: B010
        setattr(payload_check, "read_payload", _lenient)  # noqa: B010


class _Anything(str):
    """Equal to whatever it is compared with."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def _last_wins(text: str) -> Any:
    """As most parsers read an object that names a key twice."""
    return json.loads(text, parse_float=Decimal)


def _lenient(payload_type: Any, fields: Mapping[str, Any]) -> Any:
    """A schema that any environment and any connection fits."""
    testnet = {"environment": "testnet", "dry_run": True, "exchange_connection_id": None}
    return read_payload(payload_type, {**fields, **testnet})


def _record_the_service() -> None:
    """A service tells its caller alone; here it is kept where the refusals of the other layers are."""
    create = ApplyProfileService.create_dry_run_command

    def recorded(self: ApplyProfileService, *asked: Any, **named: Any) -> Any:
        try:
            return create(self, *asked, **named)
        except Refusal as refused:
            raise refusal(Layer.SERVICE, refused.message) from refused

    setattr(ApplyProfileService, "create_dry_run_command", recorded)  # noqa: B010


def _careless_click(
    self: ApplyProfileService,
    profile: UUID,
    user: int,
    *,
    environment: object = "testnet",
    exchange_connection_id: UUID | None = None,
) -> None:
    """A service that writes down what it is asked for."""
    del profile, user
    connection_id = None if exchange_connection_id is None else str(exchange_connection_id)
    row = environment if isinstance(environment, str) else "testnet"
    with self._engine.begin() as opened:
        put(driver(opened), {"environment": environment, "exchange_connection_id": connection_id}, row=row)
