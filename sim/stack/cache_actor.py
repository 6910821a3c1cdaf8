"""The database's cache of the files as somebody with SQL access can spoil it: rows changed, rows lost (R10)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from sim.postgres.address import DatabaseAddress
from sim.stack.managed_views import AnyProposal, proposal_id_in
from sim.timeline import Timeline

ACTOR = "psql"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheActor:
    """Changes and removes cached rows past every service and worker; each is told on the timeline."""

    address: DatabaseAddress
    timeline: Timeline
    connect: "Callable[..., psycopg.Connection[Any]]" = psycopg.connect

    def change_proposal(self, proposal: AnyProposal, **columns: Any) -> None:
        """Effects: columns of the proposal's row are replaced; a dict is stored as JSON."""
        self._change("managed_proposals", "proposal_id", proposal_id_in(proposal), columns)

    def lose_proposal(self, proposal: AnyProposal) -> None:
        """Effects: the proposal's row is gone; its file stays."""
        self._lose("managed_proposals", "proposal_id", proposal_id_in(proposal))

    def change_holding(self, asset: str, **columns: Any) -> None:
        """Effects: columns of the asset's cached holding are replaced."""
        self._change("baseline_holdings", "asset", asset, columns)

    def lose_holding(self, asset: str) -> None:
        """Effects: the asset's cached holding is gone."""
        self._lose("baseline_holdings", "asset", asset)

    def lose_history(self, asset: str) -> None:
        """Effects: the asset has no history any more."""
        self._lose("managed_assets_history", "asset", asset)

    def _change(self, table: str, key: str, value: UUID | str, columns: dict[str, Any]) -> None:
        changes = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(Json(new) if isinstance(new, dict) else new))
            for name, new in columns.items()
        )
        self._run(
            sql.SQL("UPDATE {} SET {} WHERE {} = {}").format(
                sql.Identifier(table), changes, sql.Identifier(key), sql.Literal(value)
            )
        )
        self.timeline.record(
            actor=ACTOR, kind="cache.changed", subject=str(value), table=table, columns=sorted(columns)
        )

    def _lose(self, table: str, key: str, value: UUID | str) -> None:
        self._run(
            sql.SQL("DELETE FROM {} WHERE {} = {}").format(
                sql.Identifier(table), sql.Identifier(key), sql.Literal(value)
            )
        )
        self.timeline.record(actor=ACTOR, kind="cache.changed", subject=str(value), table=table, columns=[])

    def _run(self, statement: sql.Composed) -> None:
        with self.connect(self.address.conninfo(), application_name="sim-psql") as connection:
            done = connection.execute(statement)
            if done.rowcount == 0:
                raise LookupError(f"no row to change: {statement.as_string(connection)}")
