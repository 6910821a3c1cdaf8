"""Which order to run next: the search through the states of one race, and what is known of them so far.

    while (plan := search.next_plan()) is not None:
        ledger.begin(); search.begin(plan); hub.run(seats, search.choose); search.end(hub.standings)

A run follows its plan to a state that was not yet left by one of its options, leaves it by that, and goes on through
whatever is new. Where nothing new is near it is cut.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.errors import SimError
from sim.schedule.choice import MOVES, Kind, Option
from sim.schedule.gate import Effect
from sim.schedule.graph import Graph, Key, Node
from sim.schedule.hub import Cut, Moment, Standing
from sim.schedule.ledger import Ledger, State

_FORETOLD = (Effect.NONE, Effect.READ)
_MAX_LOOKED_AT = 60
_MAX_DETOUR = 12
"""How far a run goes through known states to a new one; starting again costs about as many steps."""


@dataclass(slots=True)
class Search:
    """The search of one exploration.

    `max_preemptions` bounds what is looked at, None for everything. `shard` of `shards` looks at its part only: the
    orders whose first `shard_depth` options fall to it.
    """

    ledger: Ledger
    max_preemptions: int | None = None
    shard: int = 0
    shards: int = 1
    shard_depth: int = 6
    graph: Graph = field(default_factory=Graph)
    foretold: int = 0
    """Steps that were not run, because the same step in the same surroundings had been."""
    _open: list[Key] = field(default_factory=list)
    _reads: dict[tuple[str, bytes, bytes], bytes] = field(default_factory=dict)
    _plan: list[Option] = field(default_factory=list)
    _here: Key | None = None
    _before: "tuple[Node, Option] | None" = None
    _is_new: bool = True

    def next_plan(self) -> list[Option] | None:
        """The way to a state that has an option nobody has taken; None when there is none. The first way is empty."""
        if self.graph.start is None:
            return []
        while self._open:
            node = self.graph.nodes[self._open[-1]]
            option = self._untaken(node, node.last)
            if option is not None:
                return [*self.graph.path_to(node.key), option]
            self._open.pop()
        return None

    def begin(self, plan: list[Option]) -> None:
        """Effects: the next run follows `plan`, then goes where nobody was."""
        self._plan, self._here, self._before = list(plan), self.graph.start, None
        self._is_new = self._here is None

    def choose(self, moment: Moment) -> int:
        """The number of the option to take. Raises: `Cut`; `SimError` (`schedule/diverged`)."""
        node = self._arrive(moment.standings, moment.options, moment.last) if self._is_new else self._known(moment)
        if not self._plan:
            option = self._untaken(node, moment.last)
            self._plan = [option] if option is not None else self._detour(node)
            if not self._plan:
                raise Cut
        option = self._plan.pop(0)
        self._here = node.edges.get(option)
        self._is_new = self._here is None
        self._before = (node, option)
        return moment.options.index(option)

    def end(self, standings: Mapping[str, Standing]) -> Node:
        """The state in which all have ended. Raises: `Cut` where what comes of it is known."""
        before = self._before
        node = self._arrive(standings, (), None if before is None else before[1].actor)
        if node.end is not None:
            raise Cut
        return node

    @property
    def is_complete(self) -> bool:
        """Whether every option of every state that was met has been taken."""
        return self.graph.start is not None and self.next_plan() is None

    def _arrive(
        self, standings: Mapping[str, Standing], options: tuple[Option, ...], last: str | None
    ) -> Node:
        """The node of the state that a step has just led to, whether or not it was met before."""
        if self._before is not None:
            before, taken = self._before
            self.ledger.moved(taken.actor, before.effects[taken.actor])
        state = self.ledger.state(standings)
        preemptions, depth = self._counted()
        key = self._key(state, last, preemptions, depth, self._before)
        node = self.graph.nodes.get(key)
        if node is None:
            node = self._added(key, state, standings, options)
            node.last, node.preemptions, node.depth = last, preemptions, depth
            node.path = None if self._before is None else (self._before[0].key, self._before[1])
            self.graph.add(node)
            self._open.append(key)
        if self._before is not None:
            self._remember(*self._before, node)
        return node

    def _added(
        self, key: Key, state: State, standings: Mapping[str, Standing], options: tuple[Option, ...]
    ) -> Node:
        order = list(standings)
        return Node(
            key=key,
            state=state,
            seen=self.ledger.seen(),
            options=tuple(sorted(options, key=lambda option: (option.kind not in MOVES, order.index(option.actor)))),
            steps={name: one.step for name, one in standings.items() if one.step is not None},
            effects={name: one.report.effect for name, one in standings.items()},
        )

    def _known(self, moment: Moment) -> Node:
        """The node that a known step has led to. Raises: `SimError` (`schedule/diverged`) when it is another one."""
        node = self.graph.nodes[self._here] if self._here is not None else None
        if node is None or set(node.options) != set(moment.options):
            raise diverged(moment, self._before)
        if len(self._plan) == 1 or not self._plan:
            self.ledger.arrive(node.state, node.seen)
            if self.ledger.entries(moment.standings) != node.state.entries:
                raise diverged(moment, self._before)
        return node

    def _counted(self) -> tuple[int, int]:
        """How many preemptions and steps lie before the state that was just come to."""
        if self._before is None:
            return 0, 0
        node, option = self._before
        first = node.ordered(node.last)[0]
        return node.preemptions + (option != first), node.depth + 1

    def _key(
        self, state: State, last: str | None, preemptions: int, depth: int, before: "tuple[Node, Option] | None"
    ) -> Key:
        key: Key = (state.key,)
        if self.max_preemptions is not None:
            key += (str(last).encode(), b"%d" % preemptions)
        if self.shards > 1 and depth <= self.shard_depth and before is not None:
            key += (_path_mark(before[0].key, before[1]),)
        return key

    def _untaken(self, node: Node, last: str | None) -> Option | None:
        """The first option that was not taken yet, and whose end cannot be foretold."""
        if node.is_closed:
            return None
        order = node.ordered(node.last if self.max_preemptions is not None else last)
        for place, option in enumerate(order):
            if option in node.edges or self._is_outside(node, option, place) or self._is_foretold(node, option, place):
                continue
            return option
        node.is_closed = True
        return None

    def _is_outside(self, node: Node, option: Option, place: int) -> bool:
        if self.max_preemptions is not None and node.preemptions + (place > 0) > self.max_preemptions:
            return True
        if self.shards > 1 and node.depth + 1 == self.shard_depth:
            return int.from_bytes(_path_mark(node.key, option)[:4]) % self.shards != self.shard
        return False

    def _is_foretold(self, node: Node, option: Option, place: int) -> bool:
        """Whether a step that only reads was seen in the same surroundings, and leads to a state that is known."""
        effect = node.effects[option.actor]
        if option.kind is not Kind.GO or effect not in _FORETOLD:
            return False
        after = self._reads.get(_surroundings(node, option.actor))
        if after is None:
            return False
        state = node.state.with_entry(option.actor, after)
        key = self._key(state, option.actor, node.preemptions + (place > 0), node.depth + 1, (node, option))
        if key not in self.graph.nodes:
            return False
        node.edges[option] = key
        self.foretold += 1
        return True

    def _remember(self, node: Node, option: Option, reached: Node) -> None:
        node.edges[option] = reached.key
        if option.kind is Kind.GO and node.effects[option.actor] in _FORETOLD:
            self._reads[_surroundings(node, option.actor)] = dict(reached.state.entries)[option.actor]

    def _detour(self, node: Node) -> list[Option]:
        """The options that lead from here through known states to something new; empty where that is far."""
        reached = {node.key}
        queue: deque[tuple[Node, list[Option]]] = deque([(node, [])])
        while queue and len(reached) < _MAX_LOOKED_AT:
            here, path = queue.popleft()
            for option, key in here.edges.items():
                further = self.graph.nodes[key]
                if key in reached or len(path) >= _MAX_DETOUR:
                    continue
                reached.add(key)
                untaken = self._untaken(further, option.actor)
                if untaken is not None:
                    return [*path, option, untaken]
                queue.append((further, [*path, option]))
        return []


def diverged(moment: Moment, before: "tuple[Node, Option] | None") -> SimError:
    """The error of a replay that does not repeat: the first step that went another way is named."""
    step = moment.trace.taken[-1].step if moment.trace.taken else None
    where = "at its start" if step is None or before is None else f"after step {len(moment.trace.taken)}, {step.tell()}"
    return SimError(
        "schedule/diverged",
        f"the same order led to another state {where}: the race depends on something that is not directed, such as a "
        "thread, the real clock or random numbers from elsewhere",
    )


def _surroundings(node: Node, actor: str) -> tuple[str, bytes, bytes]:
    visible = node.state.visible if node.effects[actor] is Effect.READ else b""
    return actor, dict(node.state.entries)[actor], visible


def _path_mark(key: Key, option: Option) -> bytes:
    return hashlib.blake2b(b"|".join(key) + str(option).encode(), digest_size=8).digest()
