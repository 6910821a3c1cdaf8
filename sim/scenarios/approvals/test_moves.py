"""Pause, resume, release and drift flag, from every state in which an asset can stand.

Asked in review: two operators and the bot pressed buttons in an order that nobody had thought of; where did the asset
end?
Must hold: an asset makes only the moves of the table; any other is refused by the service, and, where a command got
past it, by the worker, which then touches no file; each allowed move is made.
"""

from collections.abc import Callable

import pytest

from sim.story import CreatedCommand, Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

Given = Callable[[Stack], object]

STANDS: dict[str, Given] = {
    "frozen": lambda stack: stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"}),
    "risk_proposed": lambda stack: stack.given.risk_proposed("ETH"),
    "managed_active": lambda stack: stack.given.managed_active("ETH"),
    "paused": lambda stack: stack.given.paused("ETH"),
    "drift_flagged": lambda stack: stack.given.drift_flagged("ETH"),
}
"""Each state that an asset rests in, and how the story brings it there."""

PRESS: dict[str, Callable[[Stack], CreatedCommand]] = {
    "pause": lambda stack: stack.operator("night").pause("ETH"),
    "resume": lambda stack: stack.operator("night").resume("ETH"),
    "release": lambda stack: stack.operator("night").release("ETH", "return_to_baseline"),
    "flag drift": lambda stack: stack.given.flag_of_the_bot("ETH", found="1.5"),
}
TYPES = {
    "pause": CommandType.PAUSE_MANAGED_ASSET,
    "resume": CommandType.RESUME_MANAGED_ASSET,
    "release": CommandType.RELEASE_MANAGED_ASSET,
    "flag drift": CommandType.FLAG_MANAGED_DRIFT,
}
FORBIDDEN = {
    "frozen": ("pause", "resume", "release", "flag drift"),
    "risk_proposed": ("pause", "resume", "release", "flag drift"),
    "managed_active": ("resume",),
    "paused": ("pause",),
    "drift_flagged": ("pause", "flag drift"),
}
ALLOWED = [
    ("flag drift", "managed_active", "drift_flagged"),
    ("flag drift", "paused", "drift_flagged"),
    ("pause", "managed_active", "paused"),
    ("resume", "paused", "managed_active"),
    ("resume", "drift_flagged", "managed_active"),
    ("release", "managed_active", "frozen"),
    ("release", "paused", "frozen"),
    ("release", "drift_flagged", "frozen"),
]


@pytest.mark.parametrize("state", STANDS)
def test_moves_that_the_table_lacks_are_refused_twice(stack: Stack, state: str) -> None:
    stack.expects(Reason.ILLEGAL_TRANSITION)
    STANDS[state](stack)
    stood, before = stack.asset("ETH"), stack.measure()

    # The page is told so, and so is the bot; nothing is written.
    for verb in FORBIDDEN[state]:
        with pytest.raises(Refusal) as refused:
            PRESS[verb](stack)
        assert refused.value.reason is Reason.ILLEGAL_TRANSITION
    assert stack.measure() == before

    # Commands that got past the service fail in the worker, and no file is touched.
    payloads = {verb: managed_payload(TYPES[verb], "ETH") for verb in FORBIDDEN[state]}
    commands = {
        verb: stack.bus.put_unchecked(TYPES[verb], "ETH", payload, requested_by=payload["requested_by"])
        for verb, payload in payloads.items()
    }
    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))
    found = {verb: stack.command(command).reason for verb, command in commands.items()}
    assert found == dict.fromkeys(FORBIDDEN[state], Reason.ILLEGAL_TRANSITION)
    assert stack.asset("ETH") == stood
    assert stood.state == state


@pytest.mark.parametrize(("verb", "state", "ends_in"), ALLOWED)
def test_move_of_the_table_is_made(stack: Stack, verb: str, state: str, ends_in: str) -> None:
    STANDS[state](stack)

    command = PRESS[verb](stack)
    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state == ends_in
    assert (stack.asset("ETH").command_id, stack.path_of("ETH")[-1]) == (command.command_id, ends_in)


def test_buttons_of_one_moment_are_judged_one_after_the_other(stack: Stack) -> None:
    # Pause and release are clicked while the asset is active; when the second pause runs, the asset is frozen.
    stack.expects(Reason.ILLEGAL_TRANSITION)
    stack.given.managed_active("ETH")
    first = stack.operator("day").pause("ETH")
    released = stack.operator("night").release("ETH", "return_to_baseline")
    late = stack.operator("day").pause("ETH")

    stack.worker.run_until_idle(max_commands=3)

    assert [stack.command(one).status for one in (first, released)] == [CommandStatus.SUCCEEDED] * 2
    assert stack.command(late).reason is Reason.ILLEGAL_TRANSITION
    assert stack.path_of("ETH")[-4:] == ["managed_active", "paused", "released", "frozen"]


def test_double_click_on_pause_is_one_pause(stack: Stack) -> None:
    stack.given.managed_active("ETH")
    page = stack.operator("day").open_asset("ETH")

    first, second = (stack.operator("day").pause(page) for _ in range(2))
    stack.worker.run_until_idle(max_commands=2)

    assert (first.created, second.created, second.command_id) == (True, False, first.command_id)
    assert stack.asset("ETH").state is ManagedState.PAUSED
