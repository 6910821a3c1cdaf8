"""What the plays prove: which layer stopped each attempt, which would have, and where the guard has a hole.

It judges; it plays nothing. The namespace's report says what reached the outermost layer; of what stays on this machine
the servers, and the worker's row, say that it has come about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import Attempt
from sim.guard_matrix.player import Play, layer_sets, name_of

Reached = Mapping[int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One attempt. `alone` says of each layer on its way whether it stops the attempt with all others knocked out.

    `first` stopped it with all layers in force, `second` with the first knocked out; None where nothing did.
    `holes` are sentences about a missing layer, `doubts` about a play that proves nothing.
    """

    attempt: Attempt
    alone: Mapping[Layer, bool]
    first: Layer | None
    second: Layer | None
    holes: tuple[str, ...]
    doubts: tuple[str, ...]


def reached(plays: Sequence[Play], report: Iterable[Mapping[str, Any]]) -> Reached:
    """By number of play: whether something of it reached the namespace's edge, or has come about on this machine.

    An attempt belongs to the play whose process, or a child of it, made it; one whose process was gone by then to the
    play that ran at the time.
    """
    found = {number: bool(play.arrived) for number, play in enumerate(plays)}
    by_pid = {play.pid: number for number, play in enumerate(plays)}
    for line in report:
        actor = line["actor"] or ""
        owners = [number for pid, number in by_pid.items() if f"[{pid}]" in actor]
        began = [number for number, play in enumerate(plays) if play.began_ns <= line["at_ns"]]
        for number in owners or began[-1:]:
            found[number] = True
    return found


def judge(attempts: Sequence[Attempt], plays: Sequence[Play], reached: Reached) -> tuple[Verdict, ...]:
    """A verdict on each attempt."""
    seen: dict[str, dict[frozenset[str], tuple[Play, bool]]] = {}
    for number, play in enumerate(plays):
        seen.setdefault(play.attempt, {})[frozenset(play.in_force)] = (play, reached[number])
    return tuple(_verdict(attempt, seen.get(name_of(attempt), {})) for attempt in attempts)


def idle_layers(verdicts: Sequence[Verdict]) -> tuple[Layer, ...]:
    """Layers that never stopped an attempt, neither first nor in place of one that was knocked out."""
    mattered = {layer for one in verdicts for layer in (one.first, one.second)}
    return tuple(layer for layer in Layer if layer not in mattered)


def failed_controls(verdicts: Sequence[Verdict], controls: Mapping[Layer, str]) -> tuple[str, ...]:
    """A sentence for each layer that was not seen to stop its deliberate violation by itself."""
    stops = {name_of(one.attempt): one.alone for one in verdicts if not one.doubts}
    return tuple(
        f"{layer}: did not stop {control!r}, its deliberate violation"
        for layer, control in controls.items()
        if not stops.get(control, {}).get(layer, False)
    )


def _verdict(attempt: Attempt, seen: Mapping[frozenset[str], tuple[Play, bool]]) -> Verdict:
    missing = [layers for layers in layer_sets(attempt) if layers not in seen]
    if missing:
        doubt = (f"{len(missing)} of its plays are missing",)
        return Verdict(attempt=attempt, alone={}, first=None, second=None, holes=(), doubts=doubt)
    alone = {layer: not seen[frozenset({layer})][1] for layer in attempt.layers}
    if not attempt.stays:
        alone[Layer.NAMESPACE] = seen[frozenset()][1]
    layers = frozenset(attempt.layers)
    first = _stopper(alone, *seen[layers])
    second = None if first is None else _stopper(alone, *seen[layers - {first}])
    holes = [] if first is not Layer.NAMESPACE else ["with the namespace knocked out it leaves"]
    holes += [
        f"with {one} knocked out nothing stops it"
        for one in attempt.layers
        if _stopper(alone, *seen[layers - {one}]) is None
    ]
    if first is None:
        holes.append("nothing stops it")
    guarded = {"": seen[layers], **{f"with {one} knocked out ": seen[layers - {one}] for one in attempt.layers}}
    holes += [f"{when}it changed {what}" for when, (play, _) in guarded.items() for what in play.mutated or ()]
    doubts = [] if seen[frozenset()][1] else ["without any layer it reaches nothing: it is no attempt"]
    doubts += [f"{when}it did not live to tell" for when, (play, _) in guarded.items() if play.mutated is None]
    doubts += [
        f"{layer} stopped it and kept no record"
        for layer in attempt.layers
        if alone[layer] and not _is_recorded(layer, seen[frozenset({layer})][0])
    ]
    return Verdict(attempt=attempt, alone=alone, first=first, second=second, holes=tuple(holes), doubts=tuple(doubts))


def _stopper(alone: Mapping[Layer, bool], play: Play, has_reached: bool) -> Layer | None:
    """The layer that stopped the play: the first that recorded it and can stop it, else the kernel, which is silent.

    What has come about on this machine, where the namespace sees nothing, was stopped by none.
    """
    if has_reached:
        return Layer.NAMESPACE if Layer.NAMESPACE in alone else None
    able = [layer for layer in Layer if layer in play.in_force and alone[layer]]
    recorded = [layer for layer in map(Layer, play.recorded) if layer in able]
    silent = [layer for layer in able if layer is Layer.KERNEL and play.ended]
    return next(iter(recorded or silent), None)


def _is_recorded(layer: Layer, play: Play) -> bool:
    """Whether the layer's refusal is on record; the kernel's is the error that the attempt itself ended with."""
    return bool(play.ended) if layer is Layer.KERNEL else layer in play.recorded
