"""What a race says it is to prove is judged by one order: steps inside, between, before, at once."""

import pytest

from sim.schedule.choice import Option
from sim.schedule.gate import OUTSIDER, Taken, Trace
from sim.schedule.race import SOMEBODY_WAITED, Reach
from sim.schedule.reach import ANYBODY_WAITED, at_once, before_either, between, inside_transaction
from sim.schedule.step import read_step


def _trace(*steps: str) -> Trace:
    """An order of these steps, as tokens write them."""
    read = [read_step(step) for step in steps]
    options = [(Option(step.actor),) for step in read]
    return Trace(
        [Taken(option=one[0], options=one, step=s, default_step=s) for one, s in zip(options, read, strict=True)]
    )


A = ("a:begin", "a:select:t", "a:insert:t", "a:commit")
B = ("b:begin", "b:select:t", "b:insert:t", "b:commit")


@pytest.mark.parametrize(
    ("reach", "order", "holds"),
    [
        (inside_transaction("b", of="a"), (*A[:2], "b:move:clock", *A[2:]), True),
        (inside_transaction("b", of="a"), ("b:move:clock", *A), False),
        (inside_transaction("b", of="a"), (*A, "b:move:clock"), False),
        (inside_transaction("b", of="a"), (*A[:2], "b:move:clock"), False),
        (between("b", after="a:select:t", before="a:commit"), (*A[:2], *B, *A[2:]), True),
        (between("b", after="a:select:t", before="a:commit"), (*A[:1], *B, *A[1:]), False),
        (between("b", "c", after="a:select:t", before="a:commit"), (*A[:2], *B, *A[2:]), False),
        (between("b", after="a:delete:t", before="a:commit"), (*A[:2], *B, *A[2:]), False),
        (before_either(A[1], B[1], before=(A[2], B[2])), (*A[:2], *B[:2], *A[2:], *B[2:]), True),
        (before_either(A[1], B[1], before=(A[2], B[2])), (*A[:3], *B[:2], *A[3:], *B[2:]), False),
        (at_once("a", "b"), (*A[:3], *B, *A[3:]), True),
        (at_once("a", "b"), (*A, *B), False),
        (at_once("a", "b", "c"), (*A[:3], *B, *A[3:]), False),
    ],
)
def test_reach_holds_of_the_orders_that_have_it(reach: Reach, order: tuple[str, ...], *, holds: bool) -> None:
    assert reach.when(_trace(*order)) is holds


@pytest.mark.parametrize(
    ("waits", "holds"), [([], False), ([("a", OUTSIDER)], False), ([("a", OUTSIDER), ("b", "a")], True)]
)
def test_wait_for_a_session_outside_the_race_is_no_meeting(waits: list[tuple[str, str]], *, holds: bool) -> None:
    trace = Trace(waits=waits)

    assert (SOMEBODY_WAITED.when(trace), ANYBODY_WAITED.when(trace)) == (holds, holds)
