"""How a long order is told."""

from sim.schedule.choice import Option
from sim.schedule.gate import Taken, Trace
from sim.schedule.step import Step
from sim.schedule.tell import MAX_TOLD, tell_trace


def lines_of(steps: int) -> list[str]:
    """What is told of an order of so many steps."""
    day = Option("day")
    steps_of = [Step("day", "select", "users", number) for number in range(1, steps + 1)]
    return list(
        tell_trace(Trace([Taken(option=day, options=(day,), step=step, default_step=step) for step in steps_of]))
    )


def test_order_is_told_step_by_step() -> None:
    assert len(lines_of(MAX_TOLD)) == MAX_TOLD
    assert lines_of(2) == ["    1  day  select users", "    2  day  select users (2)"]


def test_order_of_an_actor_that_circles_is_told_by_its_first_and_last_steps() -> None:
    told = lines_of(10_000)

    assert len(told) == MAX_TOLD + 1
    assert told[MAX_TOLD // 2] == "       … 9,700 further steps …"
    assert told[-1] == "  10000  day  select users (10000)"
