"""What a run cannot play is listed with its reason: against a foreign worker, on a server out of reach of signals."""

import pytest

from tests.sim.test_pytest_plugin import Nested, alone, nested, told

__all__ = ["alone", "nested"]

pytest_plugins = ["pytester"]

MARKED = """
import pytest

@pytest.mark.own_worker_only("it looks inside our worker")
def test_only_ours():
    raise AssertionError("must not be played")

@pytest.mark.own_worker_only("another reason")
def test_only_ours_too():
    raise AssertionError("must not be played")

def test_any():
    pass
"""

GROUPED = """
import pytest

@pytest.mark.needs_handlers("managed")
def test_managed():
    pass

def test_any():
    pass
"""

RACES = """
from sim.story import at_once, every_interleaving, seconds

def raced(stack, *names):
    profile = stack.given.reference_profile()
    with stack.race(reaches=at_once("day", "night")) as race:
        for name in names:
            race.start(stack.operator(name).apply_profile, profile)
        race.start(stack.clock.advance, seconds(1), name="clock")

@every_interleaving(max_preemptions=1)
def test_two(stack):
    raced(stack, "day", "night")

@every_interleaving(max_preemptions=1, actors=3)
def test_three(stack):
    raced(stack, "day", "night", "dawn")

@every_interleaving(max_preemptions=1)
def test_three_without_a_word(stack):
    raced(stack, "day", "night", "dawn")
"""


def lists_what_it_cannot_play(result: pytest.RunResult) -> None:
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] == 1
    result.stdout.fnmatch_lines(
        [
            "*not playable against --worker-command*",
            "test_nested.py::test_only_ours: it looks inside our worker",
            "test_nested.py::test_only_ours_too: another reason",
        ]
    )
    assert result.stdout.str().count("test_only_ours:") == 1


def test_foreign_worker_is_told_what_it_cannot_play(alone: Nested) -> None:
    lists_what_it_cannot_play(alone.run(MARKED, "--worker-command", "{python} -c pass"))


def test_foreign_worker_is_told_what_it_cannot_play_by_a_run_of_several_processes(nested: Nested) -> None:
    lists_what_it_cannot_play(nested.run_apart(MARKED, "--worker-command", "{python} -c pass", "-n", "1"))


@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["one", "several"])
def test_server_out_of_reach_of_signals_is_told_which_races_it_cannot_play(
    nested: Nested, processes: tuple[str, ...]
) -> None:
    result = nested.run_apart(RACES, "--postgres=dsn", "-k", "two or not word", *processes)

    assert (result.ret, result.parseoutcomes()["passed"]) == (0, 1)
    result.stdout.fnmatch_lines(
        ["*not playable on --postgres=dsn*", "test_nested.py::test_three: a race of 3 actors *--postgres=embedded"]
    )


def test_every_race_is_played_in_reach_of_signals_once_it_tells_its_actors(nested: Nested) -> None:
    # Who forgets to tell learns of it where the race can be played, not on a server of somebody else's.
    result = nested.run_apart(RACES)

    result.assert_outcomes(passed=2, failed=1)
    assert "not playable on" not in told(result)
    result.stdout.fnmatch_lines(["*schedule/undeclared_actors: expected at most 2 actors, found 3 (day, night, dawn)*"])


def test_everything_is_played_by_our_own_worker(alone: Nested) -> None:
    result = alone.run(MARKED)

    result.assert_outcomes(passed=1, failed=2)
    assert "not playable" not in told(result)


def test_worker_without_a_group_of_handlers_is_told_what_it_cannot_play(alone: Nested) -> None:
    result = alone.run(GROUPED, "--worker-command", "{python} -c pass", "--worker-without", "managed")

    assert (result.ret, result.parseoutcomes()["passed"]) == (0, 1)
    result.stdout.fnmatch_lines(
        ["*not playable against --worker-command*", "test_nested.py::test_managed: it needs handlers for managed*"]
    )


@pytest.mark.parametrize("options", [(), ("--worker-command", "{python} -c pass")], ids=["ours", "foreign"])
def test_everything_is_played_where_no_group_is_said_to_be_lacking(alone: Nested, options: tuple[str, ...]) -> None:
    result = alone.run(GROUPED, *options)

    result.assert_outcomes(passed=2)
    assert "not playable" not in told(result)


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        (GROUPED, ("--worker-without", "managed"), "give --worker-command with it"),
        (GROUPED, ("--worker-command", "{python} -c pass", "--worker-without", "everything"), "invalid choice"),
        (GROUPED.replace("managed", "marital"), (), "needs handlers ['marital']"),
    ],
    ids=["no foreign worker", "no such group", "marked with no such group"],
)
def test_group_of_handlers_that_makes_no_sense_is_one_clear_error(
    alone: Nested, module: str, options: tuple[str, ...], words: str
) -> None:
    result = alone.run(module, *options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in told(result)
    assert "Traceback" not in told(result)
