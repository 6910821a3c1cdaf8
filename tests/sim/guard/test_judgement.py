"""How plays are judged: every kind of hole, idle layer and worthless play is found, and a sound guard is not blamed."""

from collections.abc import Mapping

import pytest

from sim.cli_guard import HOLE, IDLE_LAYER, NOT_PROVED, exit_code
from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import IMPOSED, Attempt
from sim.guard_matrix.judgement import Verdict, failed_controls, idle_layers, judge, reached
from sim.guard_matrix.player import Play, layer_sets
from sim.guard_matrix.run import Matrix

ATTEMPT = Attempt(row="L", name="raw", layers=IMPOSED, make=lambda _: None)
SOCKETS, KERNEL = IMPOSED
Case = tuple[bool, tuple[str, ...], str]

STOPPED_BY_BOTH: Mapping[frozenset[Layer], Case] = {
    frozenset(IMPOSED): (False, ("python_sockets",), "guard/python_sockets: no"),
    frozenset({SOCKETS}): (False, ("python_sockets",), "guard/python_sockets: no"),
    frozenset({KERNEL}): (False, (), "PermissionError"),
    frozenset(): (True, (), ""),
}
KERNEL_ONLY = {
    **STOPPED_BY_BOTH,
    frozenset(IMPOSED): (False, (), "PermissionError"),
    frozenset({SOCKETS}): (True, (), ""),
}
GETS_THROUGH = dict.fromkeys(STOPPED_BY_BOTH, (True, (), ""))
UNRECORDED = {**STOPPED_BY_BOTH, frozenset({SOCKETS}): (False, (), "OSError")}
NO_ATTEMPT = {**STOPPED_BY_BOTH, frozenset(): (False, (), "")}
CAME_TO_NOTHING = {**STOPPED_BY_BOTH, frozenset({KERNEL}): (False, (), "")}


def verdict(cases: Mapping[frozenset[Layer], Case]) -> Verdict:
    plays, seen = [], {}
    for number, layers in enumerate(layer_sets(ATTEMPT)):
        seen[number], recorded, ended = cases[layers]
        plays.append(
            Play(
                attempt="L raw",
                in_force=tuple(sorted(layers)),
                pid=number,
                began_ns=0,
                ended_ns=1,
                recorded=recorded,
                ended=ended,
            )
        )
    (found,) = judge([ATTEMPT], plays, seen)
    return found


def found(one: Verdict, idle: tuple[Layer, ...] = (), failed: tuple[str, ...] = ()) -> int:
    return exit_code(Matrix(verdicts=(one,), idle=idle, failed_controls=failed, plays=4))


def test_attempt_that_two_layers_stop_is_no_finding() -> None:
    one = verdict(STOPPED_BY_BOTH)
    assert (one.first, one.second, one.holes, one.doubts) == (SOCKETS, KERNEL, (), ())
    assert one.alone == {SOCKETS: True, KERNEL: True, Layer.NAMESPACE: True}
    assert found(one) == 0


def test_namespace_is_the_second_layer_of_what_only_the_kernel_stops() -> None:
    one = verdict(KERNEL_ONLY)
    assert (one.first, one.second, one.holes) == (KERNEL, Layer.NAMESPACE, ())
    assert one.alone[SOCKETS] is False


def test_attempt_that_only_the_namespace_stops_is_a_hole() -> None:
    one = verdict(GETS_THROUGH)
    assert one.holes == ("with the namespace knocked out it leaves",)
    assert found(one) == HOLE


@pytest.mark.parametrize(
    ("cases", "doubt"),
    [
        (UNRECORDED, "python_sockets stopped it and kept no record"),
        (NO_ATTEMPT, "without any layer it reaches nothing: it is no attempt"),
        (CAME_TO_NOTHING, "kernel stopped it and kept no record"),
    ],
    ids=["unrecorded", "no attempt", "came to nothing"],
)
def test_play_that_proves_nothing_is_told(cases: Mapping[frozenset[Layer], Case], doubt: str) -> None:
    one = verdict(cases)
    assert doubt in one.doubts
    assert found(one) in (NOT_PROVED, HOLE)


def test_missing_play_is_told() -> None:
    (one,) = judge([ATTEMPT], [], {})
    assert one.doubts == ("4 of its plays are missing",)


def test_layer_that_was_neither_first_nor_second_is_idle() -> None:
    one = verdict(STOPPED_BY_BOTH)
    assert set(idle_layers([one])) == set(Layer) - {SOCKETS, KERNEL}
    assert found(one, idle=(Layer.FLAG,)) == IDLE_LAYER


def test_control_that_was_not_stopped_by_its_layer_has_failed() -> None:
    controls = {SOCKETS: "L raw", KERNEL: "L raw"}
    assert failed_controls([verdict(STOPPED_BY_BOTH)], controls) == ()
    failed = failed_controls([verdict(KERNEL_ONLY)], controls)
    assert failed == ("python_sockets: did not stop 'L raw', its deliberate violation",)
    assert found(verdict(KERNEL_ONLY), failed=failed) == NOT_PROVED


def test_control_that_was_not_played_has_failed() -> None:
    assert len(failed_controls([], {KERNEL: "L raw"})) == 1


def test_what_reached_the_edge_belongs_to_the_process_that_did_it_or_to_the_time() -> None:
    plays = [
        Play(attempt="L raw", in_force=(), pid=pid, began_ns=at, ended_ns=at + 5, recorded=(), ended="")
        for pid, at in ((7, 10), (9, 20), (11, 30))
    ]
    report: list[dict[str, object]] = [
        {"actor": "curl [8] < python [7] < python [3]", "at_ns": 25},
        {"actor": None, "at_ns": 31},
    ]
    assert reached(plays, report) == {0: True, 1: False, 2: True}
