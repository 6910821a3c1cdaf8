"""Two buttons of one managed asset at the same moment, one of them perhaps the bot's.

Asked in review: an asset was paused and released, resumed and flagged, by people who did not know of each other; where
did it end, and was that one of the moves that there are?
Must hold: clicks are judged again when they run, one after the other in the order of their commands; whatever that was,
the asset goes along the table, files and rows agree, and who came too late fails with a reason.
"""

from typing import Any

import pytest

from sim.story import Race, Stack, before_either, between, every_interleaving
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

BOTH_LOOKED = before_either(
    "day:select:managed_assets_history",
    "night:select:managed_assets_history",
    before=("day:insert:commands", "night:insert:commands"),
)
BOT_LOOKED_TOO = before_either(
    "bot:select:managed_assets_history",
    "night:select:managed_assets_history",
    before=("bot:insert:commands", "night:insert:commands"),
)
DONE = (CommandStatus.SUCCEEDED, None)
TOO_LATE = (CommandStatus.FAILED, Reason.ILLEGAL_TRANSITION)


def _run(stack: Stack, race: Race, reasons: dict[str, tuple[Reason, ...]]) -> tuple[str, dict[str, Any]]:
    """Whose command was first, and how each ended; `reasons` are expected where that one was."""
    commands = {one.name: one.value.command_id for one in race.entrants}
    rows = stack.rows.query("SELECT command_id FROM commands ORDER BY created_at, id")
    (first, *_) = [name for row in rows for name, command in commands.items() if row["command_id"] == command]
    stack.expects(*reasons[first])
    stack.worker.run_until_idle(max_commands=2)
    ended = {name: stack.command(command) for name, command in commands.items()}
    return first, {name: (command.status, command.reason) for name, command in ended.items()}


@every_interleaving
def test_pause_and_release_follow_each_other(stack: Stack) -> None:
    stack.given.managed_active("BTC")
    day, night = stack.operator("day"), stack.operator("night")

    with stack.race(reaches=BOTH_LOOKED) as race:
        race.start(day.pause, day.open_asset("BTC"))
        race.start(night.release, night.open_asset("BTC"), "return_to_baseline")

    first, ended = _run(stack, race, {"day": (), "night": (Reason.ILLEGAL_TRANSITION,)})
    assert ended == {"day": {"day": DONE, "night": TOO_LATE}[first], "night": DONE}
    assert stack.asset("BTC").state is ManagedState.FROZEN
    passed = {
        "day": ["managed_active", "paused", "released", "frozen"],
        "night": ["managed_active", "released", "frozen"],
    }
    assert stack.path_of("BTC")[-len(passed[first]) :] == passed[first]


@every_interleaving
def test_resume_and_drift_flag_follow_each_other(stack: Stack) -> None:
    # A paused asset. The operator resumes it while the bot finds that it holds too little.
    stack.given.paused("BTC")
    night = stack.operator("night")

    with stack.race(reaches=BOT_LOOKED_TOO) as race:
        race.start(night.resume, night.open_asset("BTC"))
        race.start(stack.given.flag_of_the_bot, "BTC", found="0.4", name="bot")

    first, ended = _run(stack, race, {"night": (), "bot": ()})
    assert ended == {"night": DONE, "bot": DONE}
    passed = {
        "night": ["paused", "managed_active", "drift_flagged"],
        "bot": ["paused", "drift_flagged", "managed_active"],
    }
    assert stack.path_of("BTC")[-3:] == passed[first]
    assert stack.asset("BTC").state == passed[first][-1]


@every_interleaving
def test_drift_flag_and_release_follow_each_other(stack: Stack) -> None:
    stack.given.managed_active("BTC")
    night = stack.operator("night")

    with stack.race(reaches=BOT_LOOKED_TOO) as race:
        race.start(stack.given.flag_of_the_bot, "BTC", found="0.4", name="bot")
        race.start(night.release, night.open_asset("BTC"), "return_to_baseline")

    first, ended = _run(stack, race, {"bot": (), "night": (Reason.ILLEGAL_TRANSITION,)})
    assert ended == {"bot": {"bot": DONE, "night": TOO_LATE}[first], "night": DONE}
    assert stack.asset("BTC").state is ManagedState.FROZEN
    passed = {
        "bot": ["managed_active", "drift_flagged", "released", "frozen"],
        "night": ["managed_active", "released", "frozen"],
    }
    assert stack.path_of("BTC")[-len(passed[first]) :] == passed[first]


@pytest.mark.own_worker_only("the worker is directed step by step, in this process")
@every_interleaving(max_preemptions=1)
def test_flag_that_meets_a_release_under_way_is_refused_or_comes_too_late(stack: Stack) -> None:
    # The release is on the bus already; the worker runs it while the bot raises its flag.
    stack.given.managed_active("BTC")
    released = stack.operator("night").release("BTC", "return_to_baseline")

    with stack.race(reaches=between("bot", after="w1:replace:state/managed_state.json", before="w1:commit")) as race:
        race.start(stack.worker.directed("w1").run_once)
        flag = race.start(stack.given.flag_of_the_bot, "BTC", found="0.4", name="bot")

    assert stack.command(released).status is CommandStatus.SUCCEEDED
    late: dict[str | None, tuple[Reason, ...]] = {None: (Reason.ILLEGAL_TRANSITION,), Reason.ILLEGAL_TRANSITION: ()}
    stack.expects(*late[flag.outcome.code])
    stack.worker.run_once("w2")
    reasons = stack.rows.query("SELECT result_json->>'reason' AS reason FROM commands WHERE requested_by IS NULL")
    assert [row["reason"] for row in reasons] == [str(reason) for reason in late[flag.outcome.code]]
    assert stack.asset("BTC").state is ManagedState.FROZEN
    assert stack.path_of("BTC")[-3:] == ["managed_active", "released", "frozen"]
