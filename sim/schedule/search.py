"""Which order to run next: the search through the states of one race, and what is known of them so far.

    while (plan := search.next_plan()) is not None:
        ledger.begin(); search.begin(plan); hub.run(seats, search.choose); search.end(hub.standings)

A run follows its plan to a state that was not yet left by one of its options, leaves it by that, and goes on through
whatever is new. Where nothing new is near it is cut. Where a step leads is foretold where that is possible.
"""

import hashlib
import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.errors import SimError
from sim.schedule.choice import MOVES, Kind, Option
from sim.schedule.foresight import Foresight
from sim.schedule.graph import Graph, Key, Node
from sim.schedule.hub import Cut, Moment, Standing, Status
from sim.schedule.ledger import Ledger, State

_MAX_LOOKED_AT = 60
_MAX_DETOUR = 12
"""How far a run goes through known states to a new one; starting again costs about as many steps."""

_KIND_OF = {Status.READY: Kind.GO, Status.GRANTED: Kind.WAKE}


@dataclass(slots=True)
class Search:
    """The search of one exploration.

    `max_preemptions` bounds what is looked at, None for everything. `shard` of `shards` looks at its part only: the
    orders whose first `shard_depth` options fall to it. With `foretells` False every step is run.
    """

    ledger: Ledger
    max_preemptions: int | None = None
    shard: int = 0
    shards: int = 1
    shard_depth: int = 6
    foretells: bool = True
    graph: Graph = field(default_factory=Graph)
    foretold: list[tuple[Key, Option]] = field(default_factory=list)
    """Steps that were not run, because the same step in the same surroundings had been."""
    _unmet: set[tuple[Key, Option]] = field(default_factory=set)
    """Those of them that no run has gone through on its way to something new."""
    _foresight: Foresight = field(default_factory=Foresight)
    _open: list[tuple[int, int, Key]] = field(default_factory=list)
    """Nodes that may have an option left, as a heap: those nearest to the start first, of these the newest."""
    _plan: list[Option] = field(default_factory=list)
    _here: Key | None = None
    _before: "tuple[Node, Option] | None" = None
    _is_new: bool = True
    _audited: "tuple[Node, Option] | None" = None

    def next_plan(self) -> list[Option] | None:
        """The way to a state that has an option nobody has taken; None when there is none. The first way is empty.

        Of such states it is one nearest to the start: from there a run meets the most that is new, and takes half as
        many steps in all as one that begins at the farthest (measured).
        """
        if self.graph.start is None:
            return []
        while self._open:
            node = self.graph.nodes[self._open[0][2]]
            if node.is_closed:
                heapq.heappop(self._open)
            elif not node.options:
                node.is_closed = True
                if node.end is None:
                    return self.graph.path_to(node.key)
            else:
                option = self._untaken(node, node.last)
                if option is not None:
                    return [*self.graph.path_to(node.key), option]
        return None

    def begin(self, plan: list[Option]) -> None:
        """Effects: the next run follows `plan`, then goes where nobody was."""
        self._plan, self._here, self._before, self._audited = list(plan), self.graph.start, None, None
        self._is_new = self._here is None

    def begin_again(self, made: list[Option]) -> None:
        """Effects: the next run is the one that was begun: it makes the options `made` again, then what was planned."""
        audited = self._audited
        self.begin([*made, *self._plan])
        self._audited = audited

    def begin_audit(self, key: Key, option: Option) -> None:
        """Effects: the next run makes that foretold step, and ends there: with `Cut` where all is as foretold.

        Otherwise it ends with `SimError` (`schedule/foretold_wrong`).
        """
        node = self.graph.nodes[key]
        self.begin([*self.graph.path_to(key), option])
        self._audited = node, option

    def choose(self, moment: Moment) -> int:
        """The number of the option to take. Raises: `Cut`; `SimError` (`schedule/diverged`)."""
        self._audit_at_end(moment.standings)
        node = self._arrive(moment.standings, moment.options, moment.last) if self._is_new else self._known(moment)
        if not self._plan:
            option = self._untaken(node, moment.last)
            self._plan = [option] if option is not None else self._detour(node)
            if not self._plan:
                raise Cut
            if not self._is_new:
                self.ledger.arrive(node.state, self._foresight.faces)
        option = self._plan.pop(0)
        self._here = node.edges.get(option)
        self._is_new = self._here is None
        self._before = (node, option)
        is_looked_at = self._is_new or (self._audited is not None and not self._plan)
        self.ledger.moves(moment.standings[option.actor], node.state.seen, is_new=is_looked_at)
        return moment.options.index(option)

    def end(self, standings: Mapping[str, Standing]) -> Node:
        """The state in which all have ended. Raises: `Cut` where what comes of it is known; `SimError`."""
        self._audit_at_end(standings)
        if self._is_new:
            last = None if self._before is None else self._before[1].actor
            node = self._arrive(standings, (), last)
        else:
            node = self._known_end(standings)
        node.is_closed = True
        if node.end is not None:
            raise Cut
        return node

    def _audit_at_end(self, standings: Mapping[str, Standing]) -> None:
        if self._audited is None or self._plan:
            return
        node, option = self._audited
        foretold = self.graph.nodes[node.edges[option]].state
        self.ledger.moved(option.actor, node.effects[option.actor])
        found = self.ledger.state(standings)
        if not self.ledger.is_at(foretold, self._foresight.faces, standings):
            what = "what the actors were told, or how they stand,"
        elif found.seen != foretold.seen:
            what = "what is committed"
        elif found.draws != foretold.draws:
            what = "who drew from a sequence"
        else:
            raise Cut
        raise foretold_wrong(node, option, what)

    def _known_end(self, standings: Mapping[str, Standing]) -> Node:
        node = self.graph.nodes[self._here] if self._here is not None else None
        is_same = node is not None and self.ledger.is_at(node.state, self._foresight.faces, standings)
        if node is None or not is_same or self.ledger.seen() != node.state.seen:
            raise self._other_than_known("its end")
        return node

    def _arrive(self, standings: Mapping[str, Standing], options: tuple[Option, ...], last: str | None) -> Node:
        """The node of the state that a step has just led to, whether or not it was met before."""
        if self._before is not None:
            before, taken = self._before
            self.ledger.moved(taken.actor, before.effects[taken.actor])
        state = self.ledger.state(standings)
        self._foresight.meet(self.ledger, standings)
        node = self._node(state, self._before, last, options)
        if self._before is not None:
            before, taken = self._before
            before.edges[taken] = node.key
            self._foresight.note(before, taken, state)
        return node

    def _node(
        self,
        state: State,
        before: "tuple[Node, Option] | None",
        last: str | None,
        options: tuple[Option, ...],
    ) -> Node:
        """The node of that state: a known one, or a new one that is open."""
        preemptions, depth = _counted(before)
        key = self._key(state, last, preemptions, depth, before)
        node = self.graph.nodes.get(key)
        if node is not None:
            return node
        names = [name for name, _ in state.entries]
        faces = {name: self._foresight.faces[entry] for name, entry in state.entries}
        node = Node(
            key=key,
            state=state,
            options=tuple(sorted(options, key=lambda option: (option.kind not in MOVES, names.index(option.actor)))),
            steps={name: face.step for name, face in faces.items() if face.step is not None},
            effects={name: face.effect for name, face in faces.items()},
            path=None if before is None else (before[0].key, before[1]),
            last=last,
            preemptions=preemptions,
            depth=depth,
        )
        self.graph.add(node)
        heapq.heappush(self._open, (depth, -len(self.graph.nodes), key))
        return node

    def _known(self, moment: Moment) -> Node:
        """The node that a known step has led to. Raises: `SimError` (`schedule/diverged`) when it is another one."""
        node = self.graph.nodes[self._here] if self._here is not None else None
        where = moment.trace.taken[-1].step.tell() if moment.trace.taken else "its start"
        if node is None or set(node.options) != set(moment.options):
            raise self._other_than_known(where)
        is_near, is_unmet = len(self._plan) <= 1, self._is_unmet()
        if is_near or is_unmet:
            if not self.ledger.is_at(node.state, self._foresight.faces, moment.standings):
                raise self._other_than_known(where)
            if is_unmet and self._before is not None:
                self._unmet.discard((self._before[0].key, self._before[1]))
        if is_near:
            self.ledger.arrive(node.state, self._foresight.faces)
        return node

    def _is_unmet(self) -> bool:
        """Whether the last step was foretold, and is run for the first time."""
        return self._before is not None and (self._before[0].key, self._before[1]) in self._unmet

    def _other_than_known(self, where: str) -> SimError:
        """What is wrong where a known step has led elsewhere: what was foretold of it, or the race itself."""
        if self._before is not None and self._is_unmet():
            return foretold_wrong(*self._before, "what the actors were told, or how they stand,")
        return diverged(where, self._before)

    def _key(
        self, state: State, last: str | None, preemptions: int, depth: int, before: "tuple[Node, Option] | None"
    ) -> Key:
        key: Key = (state.key,)
        if self.max_preemptions is not None:
            key += (str(last).encode(), b"%d" % preemptions)
        if self.shards > 1 and depth <= self.shard_depth and before is not None:
            key += (self._path_mark(*before),)
        return key

    def _path_mark(self, node: Node, option: Option) -> bytes:
        """Stands for the options that lead here. Other processes explore other parts, so nothing of a run goes in."""
        told = ",".join(map(str, [*self.graph.path_to(node.key), option]))
        return hashlib.blake2b(told.encode(), digest_size=16).digest()

    def _untaken(self, node: Node, last: str | None) -> Option | None:
        """The first option that was not taken yet, and whose end cannot be foretold."""
        if node.is_closed:
            return None
        order = node.ordered(node.last if self.max_preemptions is not None else last)
        for place, option in enumerate(order):
            if option in node.edges or self._is_outside(node, option, place) or self._is_foretold(node, option):
                continue
            return option
        node.is_closed = True
        return None

    def _is_outside(self, node: Node, option: Option, place: int) -> bool:
        if self.max_preemptions is not None and node.preemptions + (place > 0) > self.max_preemptions:
            return True
        if self.shards > 1 and node.depth + 1 == self.shard_depth:
            return int.from_bytes(self._path_mark(node, option)[:4]) % self.shards != self.shard
        return False

    def _is_foretold(self, node: Node, option: Option) -> bool:
        """Whether it is known where the option leads. Effects: if so, it is an edge, and its end a node."""
        state = self._foresight.foretell(node, option) if self.foretells else None
        options = None if state is None else self._options_in(state)
        if state is None or options is None:
            return False
        reached = self._node(state, (node, option), option.actor, options)
        node.edges[option] = reached.key
        self.foretold.append((node.key, option))
        self._unmet.add((node.key, option))
        return True

    def _options_in(self, state: State) -> tuple[Option, ...] | None:
        """Who can move in a state that nobody was in; None where that takes a look at the world."""
        faces = [(name, self._foresight.faces[entry]) for name, entry in state.entries]
        if any(not face.can_be_foretold for _, face in faces):
            return None
        able = tuple(Option(name, _KIND_OF[face.status]) for name, face in faces if face.status in _KIND_OF)
        return able if able or all(face.status is Status.ENDED for _, face in faces) else None

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
                if not further.options and further.end is None:
                    return [*path, option]
                untaken = self._untaken(further, option.actor)
                if untaken is not None:
                    return [*path, option, untaken]
                queue.append((further, [*path, option]))
        return []


def diverged(where: str, before: "tuple[Node, Option] | None") -> SimError:
    """The error of a replay that does not repeat: the first step that went another way is named."""
    after = "" if before is None else f" (after {before[1]} at {before[0].steps.get(before[1].actor, 'a step')})"
    return SimError(
        "schedule/diverged",
        f"the same order led to another state at {where}{after}: the race depends on something that is not directed, "
        "such as a thread, the real clock, random numbers from elsewhere, or state that two actors share",
    )


def foretold_wrong(node: Node, option: Option, what: str) -> SimError:
    """The error of a step that was foretold from `node` and did something else when it was run."""
    step = node.steps[option.actor]
    return SimError(
        "schedule/foretold_wrong",
        f"{step.tell()!r} (option {option}, after {node.depth} steps) was foretold from the same step in the same "
        f"surroundings, and when it was run {what} was otherwise: an actor depends on something besides what database "
        "and files tell it, such as random numbers, the real clock, or a variable that outlives a run; if none does, "
        "report the scenario, whose exploration cannot be trusted",
    )


def _counted(before: "tuple[Node, Option] | None") -> tuple[int, int]:
    """How many preemptions and steps lie before the state that is come to."""
    if before is None:
        return 0, 0
    node, option = before
    return node.preemptions + (option != node.ordered(node.last)[0]), node.depth + 1
