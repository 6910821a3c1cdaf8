"""Explores a race: runs its body once for each order that can still show something new, and counts what came of it.

    exploration = explore(subject, settings, scenario="folder/test_x.py::test_y")

A `Subject` is a body that can be run again and again from the same state; see `sim.stack.rehearsal` and `sql_actor`.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from sim.errors import SimError
from sim.schedule.choice import MOVES, Option, Schedule
from sim.schedule.exploration import Exploration, Found
from sim.schedule.failing import Fallen, HandedOn
from sim.schedule.gate import Seat, Trace
from sim.schedule.hub import Choose, Cut, Disturbed, Hub, Moment
from sim.schedule.ledger import Ledger, Seen
from sim.schedule.outcome import Outcome, require_sound, unknown
from sim.schedule.race import Race, Reach
from sim.schedule.replay import Replay
from sim.schedule.search import Search
from sim.schedule.settings import AUDIT_SHARE, Settings
from sim.schedule.stopwatch import now_s
from sim.schedule.strategies import Priorities, RandomWalk
from sim.schedule.tell import tell_failure
from sim.schedule.token import Token, scenario_mark


class Subject(Protocol):
    """Something with a race in it, which can be played again."""

    @property
    def hub(self) -> Hub:
        """What runs its actors."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What follows the state of its database and files; there once the first run has come to its race."""
        ...

    @property
    def start(self) -> Seen | None:
        """What is committed when the race begins; None where that is not known yet."""
        ...

    def put_back(self) -> None:
        """Effects: everything is as it was before the first run, or as it was when that came to its race."""
        ...

    def run(self, conductor: "Conductor") -> None:
        """Effects: the body has run; it calls `conductor.conduct` once, by a race.

        Raises: whatever the body raises when something does not hold; `Cut` from `conduct`, passed on.
        """
        ...


@dataclass(slots=True)
class Conductor:
    """Stands between a body and the hub for one run."""

    subject: Subject
    choose: Choose
    search: Search | None = None
    race: Race | None = None
    trace: Trace = field(default_factory=Trace)
    node_key: tuple[bytes, ...] | None = None
    disturbed: int = 0
    """How often the run was disturbed by a machine too slow for it, and begun anew."""
    _made: list[Option] = field(default_factory=list)
    _again: list[Option] = field(default_factory=list)

    def begin_again(self) -> None:
        """Effects: the next run makes the choices that were made so far, and goes on from there."""
        self.race, self.trace, self.node_key = None, Trace(), None
        self.disturbed += 1
        made, self._made = self._made, []
        if self.search is not None:
            self.search.begin_again(made)
        elif len(made) > len(self._again):
            self._again = made

    def _choose(self, moment: Moment) -> int:
        if len(self._made) < len(self._again):
            number = moment.options.index(self._again[len(self._made)])
        else:
            number = self.choose(moment)
        self._made.append(moment.options[number])
        return number

    def conduct(self, race: Race, seats: Sequence[Seat]) -> tuple[Trace, dict[str, Outcome]]:
        """What happened and how everybody came out. Raises: `Cut`; `SimError` (`schedule/…`)."""
        if self.race is not None:
            raise SimError("schedule/second_race", "a scenario has one race; split it, or put all actors into one")
        self.race = race
        hub, ledger = self.subject.hub, self.subject.ledger
        if self.search is None:
            ledger.lose_sight()
        else:
            ledger.begin(self.subject.start)
        hub.on_step = None if self.search is None else ledger.on_step
        try:
            hub.run(seats, self._choose)
        finally:
            self.trace = hub.trace
            # Here, for a run that is cut comes to no assertion of the body.
            if race.avoids is not None and race.avoids.when(hub.trace):
                raise AssertionError(f"in this order {race.avoids.words}")
        if self.search is not None:
            self.node_key = self.search.end(hub.standings).key
        outcomes = {name: one.report.outcome or unknown() for name, one in hub.standings.items()}
        require_sound(outcomes)
        return hub.trace, outcomes


def play(subject: Subject, conductor: Conductor) -> None:
    """Effects: the subject was put back and its body has run, begun anew where the run was disturbed.

    Raises: as `Subject.run`, but no `Disturbed`: a run that is begun again has more time, up to a bound.
    """
    while True:
        subject.put_back()
        try:
            subject.run(conductor)
        except Disturbed:
            conductor.begin_again()
        else:
            return


@dataclass(slots=True)
class Explorer:
    """One exploration of one subject."""

    subject: Subject
    settings: Settings
    scenario: str
    progress: Callable[[Exploration], None] = lambda _: None
    result: Exploration = field(init=False)
    _sampled: dict[str, Schedule] = field(default_factory=dict)
    _longest: int = 0
    _reach: Reach | None = None

    def __post_init__(self) -> None:
        self.result = Exploration(scenario=self.scenario)

    def explore(self) -> Exploration:
        """What was found.

        Raises: what the body raises in some order, with the shortest such order told in notes; `SimError`
        (`schedule/vacuous`) when no order reached what the race is to prove, `schedule/…` otherwise.
        """
        started = now_s()
        search = self._search(self.settings.depth)
        try:
            is_over = self._run_all(search, self.settings.budget)
            self.result.is_complete = is_over and search.max_preemptions is None
            self._audit(search)
            if search.next_plan() is not None:
                self._sample()
            if self.result.reached == 0 and self._reach is not None:
                self._prove(search, self._reach)
        finally:
            self._sum_up(search)
            self.result.seconds = now_s() - started
        if self.result.reached == 0:
            raise SimError(
                "schedule/vacuous",
                f"in none of {self.result.runs} runs {self.result.reach}: the race proves nothing. Let the actors "
                "meet, or say with `reaches` what the race is to show",
            )
        return self.result

    def _search(self, max_preemptions: int | None, *, is_whole: bool = False) -> Search:
        """A search of this exploration's part, or of the whole race, from its start."""
        settings = self.settings
        return Search(
            self.subject.ledger,
            max_preemptions=max_preemptions,
            shard=0 if is_whole else settings.shard,
            shards=1 if is_whole else settings.shards,
            # What else can happen is asked for at each moment, so nobody can know it of one that was never there.
            foretells=settings.foretells and self.subject.hub.more_options is None,
        )

    def _audit(self, search: Search) -> None:
        """Effects: some of the foretold steps have been run. Raises: `SimError` (`schedule/foretold_wrong`)."""
        foretold, wanted = search.foretold, self.settings.audits
        count = min(len(foretold), max(wanted, len(foretold) // AUDIT_SHARE)) if wanted else 0
        for key, option in random.Random(self.settings.seed).sample(foretold, count):
            search.begin_audit(key, option)
            try:
                play(self.subject, Conductor(self.subject, search.choose, search))
            except Cut:
                self.result.audited += 1

    def _run_all(self, search: Search, max_runs: int) -> bool:
        """Whether nothing is left to run. Effects: so many runs of the search at most have been made."""
        for _ in range(max_runs):
            plan = search.next_plan()
            if plan is None:
                return True
            search.begin(plan)
            conductor = Conductor(self.subject, search.choose, search)
            try:
                self._run_told(conductor)
            except Cut:
                pass
            else:
                self._ended(search, conductor)
                self._note_sampled(conductor)
            self.progress(self.result)
        return search.next_plan() is None

    def _sample(self) -> None:
        """Effects: of the orders that the budget left, those with few preemptions were run, then some by chance."""
        settings = self.settings
        bounded = self._run_fewest_preemptions() if settings.depth is None else 0
        fewest = f", then {bounded} with the fewest preemptions" if bounded else ""
        self.result.strategy += (
            f"{fewest}, then {settings.samples} by priorities (PCT, depth 3) and {settings.samples} at random"
        )
        steps = max(self._longest, 1)
        for number in range(settings.samples):
            seed = settings.seed + number
            for draw in (Priorities(seed, self.result.actors, steps), RandomWalk(seed)):
                conductor = Conductor(self.subject, draw.choose)
                self._run_told(conductor)
                if conductor.race is not None:
                    self.result.ends += 1
                    self._note_sampled(conductor)
                self.progress(self.result)

    def _run_fewest_preemptions(self) -> int:
        """How many. Effects: every order with one preemption was run, then with two and so on, in `samples` runs."""
        before = self.result.runs
        for bound in range(1, MAX_BOUND + 1):
            left = self.settings.samples - (self.result.runs - before)
            if not self._run_all(self._search(bound), left):
                break
        return self.result.runs - before

    def _note_sampled(self, conductor: Conductor) -> None:
        if conductor.race is not None:
            self._sampled.setdefault(conductor.race.outcomes(), conductor.trace.schedule)

    def _prove(self, search: Search, reach: Reach) -> None:
        """Effects: an order was run that has what the race is to prove, if one is known.

        Of a race in parts it may lie in another part. A run ends where all that follows is known, and steps that are
        foretold are not run at all: the orders that were begun may each lack what some feasible order has.
        """
        if search.shards > 1:
            search = self._search(self.settings.depth, is_whole=True)
            for _ in range(self.settings.budget):
                if self._run_all(search, 1) or self.result.reached:
                    break
        if self.result.reached:
            return
        candidates = (Trace(taken) for taken in search.graph.orders_through_each_edge())
        found = next((trace for trace in candidates if reach.when(trace)), None)
        if found is None:
            return
        player = Replay(found.schedule)
        self._run_told(Conductor(self.subject, player.choose))

    def _run_told(self, conductor: Conductor) -> None:
        with HandedOn(lambda error: self._tell(error, conductor)):
            self._run(conductor)

    def _run(self, conductor: Conductor) -> None:
        self.result.runs += 1
        try:
            play(self.subject, conductor)
        finally:
            self.result.disturbed += conductor.disturbed
            self.result.steps += len(conductor.trace.taken)
            self._longest = max(self._longest, len(conductor.trace.taken))
            if conductor.race is not None:
                reach = conductor.race.reaches
                self._reach, self.result.reach = reach, reach.words
                self.result.reached += reach.when(conductor.trace)
                self.result.actors = tuple(one.name for one in conductor.race.entrants)

    def _ended(self, search: Search, conductor: Conductor) -> None:
        if conductor.race is None or conductor.node_key is None:
            raise SimError("schedule/no_race", "the scenario has no race: enter `stack.race()` and start actors in it")
        self.result.ends += 1
        search.graph.nodes[conductor.node_key].end = conductor.race.outcomes()

    def _sum_up(self, search: Search) -> None:
        result, graph = self.result, search.graph
        result.states, result.foretold = len(graph.nodes), len(search.foretold)
        if result.is_complete:
            # Orders too short to be split are met in every part, and are those of the first one.
            short = sum(node.depth < search.shard_depth for node in graph.ends()) if search.shard > 0 else 0
            result.orders = graph.count_orders() - short
        strikes = [
            (node, option) for node in graph.nodes.values() for option in node.options if option.kind not in MOVES
        ]
        result.strikeable = len(strikes)
        result.struck = sum(option in node.edges for node, option in strikes)
        shortest = graph.fewest_preemptions()
        counts = Counter(node.end for node in graph.ends() if node.end is not None)
        found: dict[str, Found] = {}
        for key, options in shortest.items():
            words = graph.nodes[key].end
            if words is not None:
                schedule = graph.schedule_of(options)
                if words not in found or schedule.preemptions < found[words].schedule.preemptions:
                    found[words] = Found(words, counts[words], schedule)
        for words, schedule in self._sampled.items():
            found.setdefault(words, Found(words, 1, schedule))
        result.outcomes = sorted(found.values(), key=lambda one: (one.schedule.preemptions, one.words))

    def _tell(self, error: BaseException, conductor: Conductor) -> None:
        """Effects: notes on `error` tell the order in which it came, and how to repeat it.

        Raises: the error of the shortest order that was found to fail, told so, where that is another run.
        """
        trace = conductor.trace
        if isinstance(error, KeyboardInterrupt | Cut) or not trace.taken:
            return
        told = error
        if self.settings.shrinks and isinstance(error, Exception) and not isinstance(error, SimError):
            told, trace = self._shrunk(error, trace)
        token = Token(scenario_mark(self.scenario), trace.schedule)
        for line in tell_failure(trace, token=str(token), scenario=self.scenario):
            told.add_note(line)
        if told is not error:
            raise told from told.__cause__

    def _shrunk(self, error: Exception, trace: Trace) -> tuple[BaseException, Trace]:
        """The order with the fewest preemptions in which the body fails, as far as a bounded search finds one.

        Effects: it is the last one that was run, so what can be seen of the stack is what it left.
        """
        for bound in range(trace.schedule.preemptions):
            search = self._search(bound, is_whole=True)
            for _ in range(MAX_SHRINKING_RUNS):
                plan = search.next_plan()
                if plan is None:
                    break
                search.begin(plan)
                conductor = Conductor(self.subject, search.choose, search)
                try:
                    with Fallen() as fallen:
                        play(self.subject, conductor)
                except Cut:
                    continue
                if fallen.error is not None:
                    return fallen.error, conductor.trace
                self._ended(search, conductor)
        return (self._played_last(trace.schedule) or error if trace.schedule.preemptions else error), trace

    def _played_last(self, schedule: Schedule) -> BaseException | None:
        """What the body raises in that order; None where it does not, or the order does not repeat."""
        with suppress(SimError), Fallen() as fallen:
            play(self.subject, Conductor(self.subject, Replay(schedule).choose))
        return fallen.error


MAX_BOUND = 5
"""Preemptions of the orders that are run first where there are more than the budget allows."""

MAX_SHRINKING_RUNS = 200
"""Runs for each bound on preemptions while a failure is made shorter."""


def replay(subject: Subject, schedule: Schedule) -> Trace:
    """What one order did.

    Raises: what the body raises; `SimError` (`schedule/step_gone`, `schedule/option_gone`) where it does not fit.
    """
    player = Replay(schedule)
    conductor = Conductor(subject, player.choose)
    play(subject, conductor)
    player.require_used_up()
    return conductor.trace
