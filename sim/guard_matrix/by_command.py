"""Attempts by a command that reaches for mainnet: through a service, past it, and switched since the click (I, J).

What is attempted has come about when the worker carried the command out. Nothing of it meets a network.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg

from sim.guard.refusal import Layer, refusal
from sim.guard_matrix.attempt import Attempt, Ended, Stage
from sim.guard_matrix.bus_rows import ADMIN, connect_exchange, put, refused_by_database, sql
from sim.guard_matrix.by_process import FLAG, MAINNET, environment, home_of
from sim.stack.given import REFERENCE_PROFILE
from worker.command_worker import main as worker_main
from worker.contracts.canonical_json import checksum, dumps_canonical, parse
from worker.contracts.errors import Reason
from worker.db.session import open_engine, url_of
from worker.services.apply_profile import ApplyProfileService

ENVIRONMENTS: Final[Mapping[str, Any]] = {
    "mainnet": "mainnet",
    "live": "live",
    "prod": "prod",
    "MAINNET": "MAINNET",
    "spaces around": " mainnet ",
    "null": None,
    "missing": ...,
    "list": ["testnet"],
    "nested": {"environment": "testnet"},
    "TESTNET": "TESTNET",
}
OF_A_SERVICE: Final = ("mainnet", "live", "prod", "MAINNET", "spaces around", "null", "list")
"""The environments that a caller of a service can name."""

CONNECTIONS: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "live": {"environment": "live", "base_url": MAINNET, "testnet": False},
    "on testnet": {},
    "on an unknown exchange": {"exchange": "unknown"},
    "deleted": None,
    "of another tenant": {"tenant": "somebody else"},
    "flag and URL disagree": {"base_url": MAINNET},
    "key may withdraw": {"permissions": ["USER_DATA", "TRADE", "WITHDRAWALS"]},
}
"""Rows of `exchange_connections` that a payload names, as far as they differ from a good one; None: it is gone."""

_LAYER_OF: Final[Mapping[str, Layer]] = {
    Reason.ENVIRONMENT_NOT_TESTNET: Layer.HANDLER,
    Reason.DRY_RUN_REQUIRED: Layer.HANDLER,
    Reason.EXCHANGE_CONNECTION_NOT_ALLOWED: Layer.HANDLER,
    Reason.SCHEMA_VIOLATION: Layer.SCHEMA,
    Reason.PAYLOAD_MALFORMED: Layer.SCHEMA,
}
"""Whose refusal the result of a command tells of: the worker keeps its record there."""

OF_A_PAYLOAD = (Layer.HANDLER, Layer.SCHEMA)
OF_A_ROW = (Layer.DATABASE, Layer.HANDLER)


def past_services(payload: Mapping[str, Any], stage: Stage, *, row: str = "testnet", text: str = "") -> None:
    """A payload with these fields changed, put on the bus by SQL; see `bus_rows.put`."""
    _prepare(stage)
    _put(stage, payload, row=row, text=text)
    carry_out(stage)


def by_service(environment_name: object, stage: Stage) -> None:
    """A click whose caller names another environment."""
    _prepare(stage)
    _click(stage, environment=environment_name)
    carry_out(stage)


def by_service_with_connection(stage: Stage) -> None:
    """A click whose caller names an exchange connection."""
    _prepare(stage)
    _click(stage, exchange_connection_id=_connect(stage, {"environment": "live"}))
    carry_out(stage)


def names_connection(row: Mapping[str, Any] | None, stage: Stage) -> None:
    """A payload that names an exchange connection with such a row."""
    _prepare(stage)
    _put(stage, {"exchange_connection_id": str(_connect(stage, row))})
    carry_out(stage)


def connection_turned_live(stage: Stage) -> None:
    """A payload that names a testnet connection, whose row is live by the time that the worker comes."""
    _prepare(stage)
    connection_id = _connect(stage, {})
    _put(stage, {"exchange_connection_id": str(connection_id)})
    with sql(stage.database) as connection:
        connection.execute(
            "UPDATE exchange_connections SET environment = 'live', testnet = false, base_url = %s", (MAINNET,)
        )
    carry_out(stage)


def switched_since(switch: Callable[[Stage], None], stage: Stage, *, flag: str = "true") -> None:
    """A click on testnet, what it was about switched after it, and then the worker, whose environment says `flag`."""
    _prepare(stage)
    _click(stage)
    switch(stage)
    carry_out(stage, flag=flag)


def carry_out(stage: Stage, *, flag: str = "true") -> None:
    """Runs a worker once, and says whether it carried the command out. Raises: `Ended`; `GuardRefused`."""
    environment(stage.home, flag, stage.database.environment())
    stage.begin()
    code = worker_main(["--once"])
    with sql(stage.database) as connection:
        found = connection.execute("SELECT status, result_json, error_message FROM commands").fetchone()
    if code != 0 or found is None:
        raise Ended(f"exit code {code}")
    status, result, message = found
    if status == "succeeded":
        stage.arrived("the worker carried the command out")
        return
    layer = _LAYER_OF.get((result or {}).get("reason", ""))
    if layer is None:
        raise Ended(f"the command is {status}: {message}")
    raise refusal(layer, message)


def _put(stage: Stage, payload: Mapping[str, Any], *, row: str = "testnet", text: str = "") -> None:
    with sql(stage.database) as connection:
        put(connection, payload, row=row, text=text)


def _click(stage: Stage, **named: Any) -> None:
    engine = open_engine(url_of(stage.database), application_name="sim guard")
    try:
        ApplyProfileService(engine).create_dry_run_command(REFERENCE_PROFILE, ADMIN, **named)
    finally:
        engine.dispose()


def _prepare(stage: Stage) -> None:
    home_of(stage)
    with sql(stage.database) as connection:
        connection.execute("DELETE FROM commands")
        connection.execute("DELETE FROM exchange_connections")
    stage.begin()


def _connect(stage: Stage, row: Mapping[str, Any] | None) -> UUID:
    with sql(stage.database) as connection:
        return connect_exchange(connection, row)


def _switch_payload(changed: Mapping[str, Any], stage: Stage) -> None:
    with sql(stage.database) as connection:
        found = connection.execute("SELECT payload::text, expires_at FROM commands").fetchone()
        if found is None:
            raise LookupError("expected the command of the click, found none")
        fields = {**parse(found[0]), **changed}
        fields["checksum"] = checksum(fields)
        connection.execute("UPDATE commands SET payload = %s::json", (dumps_canonical(fields).decode(),))


def _switch_row(stage: Stage) -> None:
    with sql(stage.database) as connection:
        try:
            connection.execute("UPDATE commands SET environment = 'mainnet'")
        except psycopg.errors.CheckViolation as error:
            raise refused_by_database(error) from error


def _switch_home(stage: Stage) -> None:
    (stage.home / ".env").write_text(f"{FLAG}=false\n", encoding="utf-8")


def _attempt(row: str, name: str, layers: tuple[Layer, ...], make: Callable[[Stage], None]) -> Attempt:
    return Attempt(row=row, name=name, layers=layers, make=make, stays=True)


ATTEMPTS = (
    *(
        _attempt(
            "I",
            f"service asked for environment {name}",
            (Layer.SERVICE, *(OF_A_ROW[:1] if isinstance(ENVIRONMENTS[name], str) else ()), *OF_A_PAYLOAD),
            partial(by_service, ENVIRONMENTS[name]),
        )
        for name in OF_A_SERVICE
    ),
    _attempt("I", "service given a connection", (Layer.SERVICE, *OF_A_PAYLOAD), by_service_with_connection),
    *(
        _attempt("I", f"payload, environment {name}", OF_A_PAYLOAD, partial(past_services, {"environment": value}))
        for name, value in ENVIRONMENTS.items()
    ),
    _attempt(
        "I",
        "payload, environment twice, mainnet last",
        OF_A_PAYLOAD,
        partial(past_services, {}, text='"environment": "mainnet"'),
    ),
    _attempt("I", "payload, no dry run", OF_A_PAYLOAD, partial(past_services, {"dry_run": False})),
    *(
        _attempt("I", f"payload, connection {name}", OF_A_PAYLOAD, partial(names_connection, row))
        for name, row in CONNECTIONS.items()
    ),
    _attempt("I", "row for mainnet", OF_A_ROW, partial(past_services, {}, row="mainnet")),
    _attempt("J", "connection turned live since the click", OF_A_PAYLOAD, connection_turned_live),
    _attempt(
        "J",
        "payload switched since the click",
        OF_A_PAYLOAD,
        partial(switched_since, partial(_switch_payload, {"environment": "mainnet"})),
    ),
    _attempt(
        "J",
        "connection put in since the click",
        OF_A_PAYLOAD,
        partial(switched_since, partial(_switch_payload, {"exchange_connection_id": str(UUID(int=7))})),
    ),
    _attempt("J", "row switched since the click", OF_A_ROW, partial(switched_since, _switch_row)),
    _attempt(
        "J",
        "worker, environment switched since the click",
        (Layer.FLAG, Layer.HANDLER),
        partial(switched_since, _switch_home, flag="false"),
    ),
    _attempt(
        "J", "worker, .env switched since the click", (Layer.FLAG, Layer.HANDLER), partial(switched_since, _switch_home)
    ),
)
