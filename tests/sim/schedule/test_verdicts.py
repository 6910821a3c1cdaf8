"""An actor that is killed, or loses its connection, at one of its steps: what the server has done and who goes on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from sim.postgres.address import DatabaseAddress
from sim.schedule.choice import Kind, Option
from sim.schedule.connection import GateConnection
from sim.schedule.explorer import Conductor, Explorer, play
from sim.schedule.gate import Trace
from sim.schedule.hub import Moment
from sim.schedule.outcome import OutcomeKind
from sim.schedule.race import Reach
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace
from tests.sim.schedule.sql_races import TABLES

ADD = "UPDATE accounts SET v = v + 1 WHERE id = 1"
VERDICTS = (Kind.KILL, Kind.CUT, Kind.DROP_REPLY)


@dataclass(slots=True)
class Writer:
    """Adds one in a transaction of its own, and keeps in mind what became of it."""

    cleaned_up: bool = False
    error: BaseException | None = None
    steps: list[str] = field(default_factory=list)

    def __call__(self, line: GateConnection) -> None:
        try:
            with line.transaction():
                line.execute(ADD)
        except psycopg.OperationalError as error:
            self.error = error
            raise
        finally:
            self.cleaned_up = True


@dataclass(slots=True)
class At:
    """Chooses `kind` for `actor` once it is about to make `verb`, and lets `first` move before the others till then."""

    kind: Kind
    verb: str
    actor: str = "a"
    after: Callable[[Moment], bool] = lambda _: True
    is_done: bool = False

    def options(self, moment: Moment) -> list[Option]:
        """The kill, where it is due."""
        step = moment.standings[self.actor].step
        is_due = step is not None and step.verb == self.verb and not self.is_done and self.after(moment)
        return [Option(self.actor, self.kind)] if is_due else []

    def choose(self, moment: Moment) -> int:
        """The kill where it is due, else the default."""
        for number, option in enumerate(moment.options):
            if option.kind is self.kind:
                self.is_done = True
                return number
        return 0

    def choose_to_wait(self, moment: Moment) -> int:
        """As `choose`, but the actor comes first up to its step, so that the other one waits for it."""
        number = self.choose(moment)
        step = moment.standings[self.actor].step
        names = [option.actor for option in moment.options]
        wanted = "b" if step is not None and step.verb == self.verb else self.actor
        return names.index(wanted) if not self.is_done and wanted in names else number


def played(race: SqlRace, at: At) -> Trace:
    race.hub.more_options = at.options
    conductor = Conductor(race, at.choose)
    play(race, conductor)
    assert at.is_done
    return conductor.trace


def value(race: SqlRace) -> int:
    row = race.sessions.monitor.connection.execute("SELECT v FROM accounts WHERE id = 1").fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def race(address: DatabaseAddress, writer: Writer) -> Iterator[SqlRace]:
    with SqlRace(address, signals=True, setup=TABLES, actors={"b": [ADD], "a": writer}) as made:
        yield made


@pytest.mark.parametrize("verb", ["begin", "update", "commit"])
def test_killed_actor_has_done_nothing_and_never_runs_again(race: SqlRace, writer: Writer, verb: str) -> None:
    played(race, At(Kind.KILL, verb))

    assert value(race) == 1  # of b alone
    assert (writer.cleaned_up, race.hub.standings["a"].report.outcome.kind) == (False, OutcomeKind.UNKNOWN)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("verb", "kind", "added"),
    [
        ("begin", Kind.CUT, 0),
        ("update", Kind.CUT, 0),
        ("commit", Kind.CUT, 0),
        ("begin", Kind.DROP_REPLY, 0),
        ("update", Kind.DROP_REPLY, 0),
        ("commit", Kind.DROP_REPLY, 1),
    ],
)
def test_lost_connection_is_told_and_only_a_commit_that_was_sent_counts(
    race: SqlRace, writer: Writer, verb: str, kind: Kind, added: int
) -> None:
    played(race, At(kind, verb))

    assert value(race) == 1 + added
    assert (writer.cleaned_up, isinstance(writer.error, psycopg.OperationalError)) == (True, True)


@pytest.mark.parametrize("kind", VERDICTS)
def test_run_after_a_lost_connection_is_as_new(race: SqlRace, kind: Kind) -> None:
    played(race, At(kind, "commit"))
    race.hub.more_options = None

    play(race, Conductor(race, lambda _: 0))

    assert value(race) == 2
    assert all(one.report.outcome.succeeded for one in race.hub.standings.values())  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [Kind.KILL, Kind.CUT])
def test_lock_of_a_lost_actor_is_free_for_who_waits(address: DatabaseAddress, writer: Writer, kind: Kind) -> None:
    def b_waits(moment: Moment) -> bool:
        return bool(moment.standings["b"].blocked_by)

    at = At(kind, "commit", after=b_waits)
    with SqlRace(address, signals=True, setup=TABLES, actors={"b": [ADD], "a": writer}) as race:
        race.hub.more_options = at.options
        conductor = Conductor(race, at.choose_to_wait)
        play(race, conductor)

        assert conductor.trace.waits == [("b", "a")]
        assert (value(race), at.is_done) == (1, True)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        (Kind.KILL, {"succeeded", "unknown"}),
        # Before its commit it knows that nothing was done; from then on it cannot know.
        (Kind.CUT, {"succeeded", "failed", "unknown"}),
        (Kind.DROP_REPLY, {"succeeded", "failed", "unknown"}),
    ],
)
def test_every_loss_in_every_order_repeats(race: SqlRace, kind: Kind, ends: set[str]) -> None:
    def one_loss(moment: Moment) -> list[Option]:
        standing = moment.standings["a"]
        is_ready = standing.step is not None and not standing.blocked_by
        is_lost = any(one.option.kind is kind for one in moment.trace.taken)
        is_able = any(option == Option("a") for option in moment.options)
        return [Option("a", kind)] if is_ready and is_able and not is_lost else []

    race.hub.more_options = one_loss
    race._reaches = Reach("a was lost", lambda trace: any(one.option.kind is kind for one in trace.taken))

    found = Explorer(race, Settings(), "lost").explore()

    assert found.is_complete
    assert found.reached > 0
    assert {one.words.partition("; a ")[2].partition(" (")[0] for one in found.outcomes} == ends
