"""The director's options as somebody mistypes them, and one order where several processes were asked for."""

import pytest

from sim.schedule.token import scenario_mark
from tests.sim.test_pytest_plugin import Nested, alone, nested, told

__all__ = ["alone", "nested"]

pytest_plugins = ["pytester"]

RACE = """
from sim.story import at_once, every_interleaving

@every_interleaving
def test_race(stack):
    profile = stack.given.reference_profile()
    day, night = stack.operator("day"), stack.operator("night")
    with stack.race(reaches=at_once("day", "night")) as race:
        race.start(day.apply_profile, profile)
        race.start(night.apply_profile, profile)
"""

LIMITED = "import pytest\n" + RACE.replace(
    "@every_interleaving\n", "@pytest.mark.timeout(0.01, func_only=True)\n@every_interleaving\n"
)

BOUNDED = RACE.replace("@every_interleaving\n", "@every_interleaving(max_preemptions=1, budget=20)\n")

FEW = """
from sim.story import every_interleaving, inside_transaction, minutes

@every_interleaving
def test_race(stack):
    proposal = stack.given.risk_proposed("BTC", expires_in=minutes(1))
    day = stack.operator("day")
    with stack.race(reaches=inside_transaction("clock", of="day")) as race:
        race.start(day.approve, day.open_proposal(proposal), "balanced", hard_confirm="BTC:balanced")
        race.start(stack.clock.advance, minutes(1), name="clock")
"""

NO_STACK = "def test_alone():\n    pass\n"


@pytest.mark.parametrize(
    ("option", "told_so"),
    [
        ("--sim-budget=0", "expected 1 or more, found 0"),
        ("--sim-depth=-1", "expected 0 or more, found -1"),
        ("--sim-split=0", "expected 1 or more, found 0"),
        ("--sim-count=-1", "expected 0 or more, found -1"),
        ("--sim-pause-at=0", "expected 1 or more, found 0"),
        ("--sim-budget=many", "invalid number value: 'many'"),
        ("--sim-token=nonsense", "schedule/malformed_token"),
        ("--sim-pause-at=3", "schedule/no_token"),
    ],
)
def test_option_that_makes_no_sense_is_one_clear_error(alone: Nested, option: str, told_so: str) -> None:
    result = alone.run_apart(NO_STACK, option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count(told_so) == 1
    assert "Traceback" not in told(result)


@pytest.mark.parametrize("option", ["--sim-token=nonsense", "--sim-pause-at=3", "--sim-token=aaaaaa"])
def test_token_that_is_none_of_this_run_is_one_clear_error_where_several_processes_were_asked_for(
    alone: Nested, option: str
) -> None:
    result = alone.run_apart(NO_STACK, option, "-n", "2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count("schedule/") == 1
    assert "Traceback" not in told(result)


def test_smallest_numbers_make_sense(alone: Nested) -> None:
    options = ("--sim-budget=1", "--sim-depth=0", "--sim-split=1", "--sim-count=0")

    alone.run_apart(NO_STACK, *options).assert_outcomes(passed=1)


def test_one_order_is_played_in_one_process_where_several_were_asked_for(nested: Nested) -> None:
    explored = nested.run_apart(RACE, "--sim-split", "3", "-n", "2")
    [token, *_] = [line.strip() for line in explored.outlines if ",day:" in line]
    replayed = nested.run_apart(RACE, "--sim-token", token, "-n", "2")

    assert explored.parseoutcomes()["passed"] == 3
    replayed.assert_outcomes(passed=1)
    assert "bringing up nodes" not in told(replayed)
    replayed.stdout.fnmatch_lines([f"played {token}", "  of test_nested.py::test_race"])


def test_race_that_sets_itself_bounds_is_explored_completely_where_that_is_asked_for(nested: Nested) -> None:
    bounded, complete = (nested.run_apart(BOUNDED, *options) for options in ((), ("--sim-complete",)))

    bounded.stdout.fnmatch_lines(["  orders * run, NOT complete"])
    complete.stdout.fnmatch_lines(["  orders * run of 12,870 feasible, complete"])


def test_race_that_limits_its_time_has_no_limit_where_it_is_explored_completely(nested: Nested) -> None:
    limited, complete = (nested.run_apart(LIMITED, *options) for options in ((), ("--sim-complete",)))

    limited.assert_outcomes(failed=1)
    limited.stdout.fnmatch_lines(["*Timeout*0.01*"])
    complete.assert_outcomes(passed=1)


def test_race_that_limits_its_time_has_no_limit_where_its_orders_are_counted(nested: Nested) -> None:
    counted = nested.run_apart(LIMITED, "--sim-budget", "20", "--sim-count", "100")

    counted.assert_outcomes(passed=1)


def test_race_that_limits_its_time_has_no_limit_where_somebody_looks_around(nested: Nested) -> None:
    paused = nested.run_apart(LIMITED, "--sim-token", scenario_mark("test_nested.py::test_race"), "--sim-pause-at", "3")

    paused.assert_outcomes(passed=1)
    paused.stdout.fnmatch_lines(["*PAUSED where step 3 is due*"])


def test_race_without_a_stack_is_told_what_it_lacks(alone: Nested) -> None:
    result = alone.run_apart("from sim.story import every_interleaving\n\n@every_interleaving\n" + NO_STACK)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*schedule/no_stack: *test_alone takes no `stack`*"])


def test_part_that_no_order_falls_to_is_explored_as_well(nested: Nested) -> None:
    # Nine orders in ten parts.
    explored = nested.run_apart(FEW, "--sim-split", "10", "-n", "2")

    explored.assert_outcomes(passed=10)
    told_of = [line.split(" of ")[1] for line in explored.outlines if line.startswith("  orders")]
    assert sum(int(words.split()[0]) for words in told_of) == 9
    assert "0 feasible in this part, complete" in told_of
