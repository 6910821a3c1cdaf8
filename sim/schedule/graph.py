"""The states that an exploration has met and the steps between them.

Every order is a path through it. Two orders that lead to the same state share all that follows, so a state is left once
by each of its options and not once per order. Shortest tokens and the count of orders are read off the finished graph.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sim.schedule.choice import Choice, Option, Schedule, in_order
from sim.schedule.gate import Effect, Taken
from sim.schedule.ledger import State
from sim.schedule.step import Step

Key = tuple[bytes, ...]


@dataclass(slots=True)
class Node:
    """A state at which somebody moves next, or, without options, one at which all have ended.

    `options` are in the actors' order; `steps` and `effects` are those of each actor's step to come. `edges` holds for
    each option where it leads, as far as that is known. `end` names what came of a state in which all have ended.
    """

    key: Key
    state: State
    options: tuple[Option, ...]
    steps: Mapping[str, Step]
    effects: Mapping[str, Effect]
    edges: dict[Option, Key] = field(default_factory=dict)
    path: "tuple[Key, Option] | None" = None
    """The node and the option by which this one was first met; None for the first node."""
    depth: int = 0
    last: str | None = None
    """Who moved last on the way by which this one was first met."""
    preemptions: int = 0
    is_closed: bool = False
    """Where each of the options leads is known, or is none of this search's business."""
    end: str | None = None

    def ordered(self, last: str | None) -> list[Option]:
        """The options where `last` moved last: the default first."""
        return in_order(self.options, last)


class Graph:
    """The nodes by their keys. The first node added is the start."""

    def __init__(self) -> None:
        self.nodes: dict[Key, Node] = {}
        self.start: Key | None = None

    def add(self, node: Node) -> None:
        """Effects: the node is known."""
        self.nodes[node.key] = node
        self.start = self.start or node.key

    def path_to(self, key: Key) -> list[Option]:
        """The options by which the node was first met."""
        options = []
        node = self.nodes[key]
        while node.path is not None:
            before, option = node.path
            options.append(option)
            node = self.nodes[before]
        return options[::-1]

    def schedule_of(self, options: Sequence[Option]) -> Schedule:
        """The schedule that a path is; the path may end where the known graph does."""
        choices, key, last = [], self.start, None
        for option in options:
            node = self.nodes.get(key) if key is not None else None
            if node is None:
                break
            default = node.ordered(last)[0]
            if option != default:
                choices.append(Choice(node.steps[default.actor], option, default.kind))
            key, last = node.edges.get(option), option.actor
        return Schedule(tuple(choices))

    def count_orders(self) -> int:
        """How many paths lead from the start to an end; each known edge counts, so the graph must be finished."""
        counts: dict[Key, int] = {}
        for node in self._last_first():
            counts[node.key] = sum(counts.get(key, 0) for key in node.edges.values()) if node.options else 1
        return counts.get(self.start, 0) if self.start is not None else 0

    def orders_through_each_edge(self) -> Iterator[list[Taken]]:
        """For each known edge an order that goes through it, as the steps of the graph say; waits are not told."""
        for node in tuple(self.nodes.values()):
            for option in node.edges:
                yield self._order([*self.path_to(node.key), option])

    def _order(self, options: Sequence[Option]) -> list[Taken]:
        """The steps of a path, and of one that leads on from its end."""
        taken: list[Taken] = []
        key, last, ahead = self.start, None, list(options)
        while key is not None and (node := self.nodes[key]).options:
            order = node.ordered(last)
            option = ahead.pop(0) if ahead else next((one for one in order if one in node.edges), None)
            if option is None:
                break
            step = node.steps[option.actor]
            default = node.steps[order[0].actor]
            taken.append(Taken(option=option, options=tuple(order), step=step, default_step=default))
            key, last = node.edges.get(option), option.actor
        return taken

    def ends(self) -> Iterator[Node]:
        """The nodes at which all have ended."""
        return (node for node in self.nodes.values() if not node.options)

    def fewest_preemptions(self) -> dict[Key, list[Option]]:
        """For each end a path to it with the fewest choices that are not the default."""
        found: dict[Key, list[Option]] = {}
        if self.start is None:
            return found
        best: dict[tuple[Key, str | None], tuple[int, int]] = {}
        via: dict[tuple[Key, str | None], tuple[tuple[Key, str | None], Option]] = {}
        begin = (self.start, None)
        best[begin] = (0, 0)
        queue: list[tuple[int, int, int, tuple[Key, str | None]]] = [(0, 0, 0, begin)]
        number = 0
        while queue:
            cost, length, _, place = heapq.heappop(queue)
            if best[place] < (cost, length):
                continue
            node = self.nodes.get(place[0])
            if node is None:
                continue
            if not node.options and node.key not in found:
                found[node.key] = _walked(via, place)
            for order, option in enumerate(node.ordered(place[1])):
                if option in node.edges:
                    further = (node.edges[option], option.actor)
                    price = (cost + (order > 0), length + 1)
                    if further not in best or price < best[further]:
                        best[further], via[further] = price, (place, option)
                        number += 1
                        heapq.heappush(queue, (*price, number, further))
        return found

    def _last_first(self) -> Iterator[Node]:
        """Every node that can be reached, after all that follow it."""
        done: set[Key] = set()
        stack: list[tuple[Key, bool]] = [(self.start, False)] if self.start is not None else []
        while stack:
            key, is_left = stack.pop()
            node = self.nodes.get(key)
            if node is None or (key in done and not is_left):
                continue
            if is_left:
                yield node
                continue
            done.add(key)
            stack.append((key, True))
            stack += [(following, False) for following in node.edges.values() if following not in done]


def _walked(
    via: Mapping[tuple[Key, str | None], tuple[tuple[Key, str | None], Option]], place: tuple[Key, str | None]
) -> list[Option]:
    options = []
    while place in via:
        place, option = via[place]
        options.append(option)
    return options[::-1]
