"""Some foretold steps are run after all; one that does something else than foretold is told, by its name."""

import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.explorer import Explorer
from sim.schedule.foresight import Foresight
from sim.schedule.gate import Effect
from sim.schedule.ledger import State
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace
from tests.sim.schedule.sql_races import TABLES

ACTORS = {
    name: [
        "BEGIN",
        "UPDATE accounts SET v = v + 1 WHERE id = 1",
        f"UPDATE accounts SET v = v + 1 WHERE id = {own}",
        "SELECT sum(v) FROM accounts",
        "COMMIT",
    ]
    for name, own in (("a", 2), ("b", 3))
}
EVERY_ONE = Settings(audits=10_000)


def test_foretold_steps_do_what_was_foretold(address: DatabaseAddress) -> None:
    with SqlRace(address, signals=True, setup=TABLES, actors=ACTORS) as race:
        found = Explorer(race, EVERY_ONE, "audited").explore()

    assert found.foretold > 0
    assert found.audited == found.foretold


def test_exploration_without_foretelling_finds_the_same_orders(address: DatabaseAddress) -> None:
    with SqlRace(address, signals=True, setup=TABLES, actors=ACTORS) as race:
        foretold = Explorer(race, Settings(), "foretold").explore()
        run = Explorer(race, Settings(foretells=False), "run").explore()

    assert (run.foretold, run.audited) == (0, 0)
    assert run.orders == foretold.orders


def test_step_that_does_otherwise_than_foretold_is_named(
    address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Foresight._around

    def around_blindly(self: Foresight, state: State, option: object) -> object:
        """As if a read hung on nothing that is committed."""
        entries = dict(state.entries)
        face = self.faces[entries[option.actor]]  # type: ignore[attr-defined]
        told = around(self, state, option)  # type: ignore[arg-type]
        return told[:-1] if face.effect is Effect.READ and told is not None else told

    monkeypatch.setattr(Foresight, "_around", around_blindly)
    actors = {"a": ["BEGIN", "SELECT sum(v) FROM accounts", "COMMIT"], "b": ["UPDATE accounts SET v = 9 WHERE id = 1"]}
    with SqlRace(address, signals=True, setup=TABLES, actors=actors) as race, pytest.raises(SimError) as failed:
        Explorer(race, EVERY_ONE, "audited").explore()

    assert failed.value.code == "schedule/foretold_wrong"
    assert "a: a2" in failed.value.message
