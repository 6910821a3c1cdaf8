"""How plays are judged: every kind of hole, idle layer and worthless play is found, and a sound guard is not blamed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sim.cli_guard import HOLE, IDLE_LAYER, NOT_PROVED, exit_code, summary
from sim.guard.refusal import Layer
from sim.guard_matrix.attempt import IMPOSED, Attempt
from sim.guard_matrix.judgement import Verdict, failed_controls, idle_layers, judge, reached
from sim.guard_matrix.player import Play, layer_sets
from sim.guard_matrix.run import Matrix
from sim.guard_matrix.untouched import HomeWatch
from sim.stack.home import make_home

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


def found(one: Verdict, idle: tuple[Layer, ...] | None = (), failed: tuple[str, ...] = ()) -> int:
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


STAYS = Attempt(row="I", name="stays", layers=(Layer.HANDLER, Layer.SCHEMA), make=lambda _: None, stays=True)


def played(
    attempt: Attempt, arrived_without: tuple[frozenset[Layer], ...], mutated: tuple[str, ...] | None = ()
) -> list[Play]:
    """Plays of an attempt that comes about where these layers alone are in force, and is recorded by the first else."""
    return [
        Play(
            attempt=f"{attempt.row} {attempt.name}",
            in_force=tuple(sorted(layers)),
            pid=number,
            began_ns=0,
            ended_ns=1,
            recorded=() if layers in arrived_without else tuple(sorted(layers))[:1],
            ended="" if layers in arrived_without else "refused",
            arrived=("the worker carried it out",) if layers in arrived_without else (),
            mutated=mutated,
        )
        for number, layers in enumerate(layer_sets(attempt))
    ]


def test_what_comes_about_on_this_machine_is_told_by_who_saw_it_and_not_by_the_namespace() -> None:
    plays = played(STAYS, (frozenset(),))
    (one,) = judge([STAYS], plays, reached(plays, []))
    assert (one.first, one.second, one.holes, one.doubts) == (Layer.HANDLER, Layer.SCHEMA, (), ())
    assert Layer.NAMESPACE not in one.alone


def test_what_comes_about_with_one_layer_knocked_out_is_a_hole_that_no_namespace_fills() -> None:
    plays = played(STAYS, (frozenset(), frozenset({Layer.SCHEMA})))
    (one,) = judge([STAYS], plays, reached(plays, []))
    assert one.holes == ("with handler knocked out nothing stops it",)


def test_what_never_comes_about_is_no_attempt() -> None:
    plays = played(STAYS, ())
    (one,) = judge([STAYS], plays, reached(plays, []))
    assert one.doubts == ("without any layer it reaches nothing: it is no attempt",)


def test_attempt_that_was_stopped_and_changed_the_home_is_a_hole() -> None:
    plays = played(STAYS, (frozenset(),), mutated=(".env: content",))
    (one,) = judge([STAYS], plays, reached(plays, []))
    assert one.holes == (
        "it changed .env: content",
        "with handler knocked out it changed .env: content",
        "with schema knocked out it changed .env: content",
    )
    assert found(one) == HOLE


def test_play_that_did_not_live_to_tell_proves_nothing() -> None:
    plays = played(STAYS, (frozenset(),), mutated=None)
    (one,) = judge([STAYS], plays, reached(plays, []))
    assert one.doubts[0] == "it did not live to tell"
    assert found(one) == NOT_PROVED


def test_layers_are_not_called_idle_where_rows_were_left_out() -> None:
    matrix = Matrix(verdicts=(verdict(STOPPED_BY_BOTH),), idle=None, failed_controls=(), plays=4)
    assert exit_code(matrix) == 0
    assert "layers that never mattered: not judged, for rows were left out" in summary(matrix)


def test_watch_tells_what_an_attempt_changed_of_the_home_and_not_its_logs(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (home / "live_portfolio.json").write_text("{}")
    watch = HomeWatch(home)
    (home / "logs" / "bot.log").write_text("refused")
    (home / "state" / ".lock").touch()
    assert watch.mutated() == []

    (home / ".env").write_text((home / ".env").read_text())
    (home / "live_portfolio.json").write_text("{ }")
    assert watch.mutated() == ["live_portfolio.json: content", ".env: touched-and-restored"]


def test_watch_tells_of_a_file_that_came_and_went(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    watch = HomeWatch(home)
    (home / "runtime_config.json").touch()
    (home / "runtime_config.json").unlink()
    assert [line.partition(":")[0] for line in watch.mutated()] == ["."]


def test_watch_begins_anew_where_it_is_told_to(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    watch = HomeWatch(home)
    (home / ".env").write_text("BINANCE_TESTNET=false\n")
    watch.begin()
    assert watch.mutated() == []
