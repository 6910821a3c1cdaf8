"""The bot as a story holds it: stepped, stopped, killed, and told when it ends on its own."""

import os
import signal
from collections.abc import Callable

import pytest

from sim.errors import SimError
from sim.stack.bot_actor import BotActor
from sim.stack.child import wait_until
from sim.stack.launcher import Launcher
from sim.stack.zygote import Zygote
from sim.timeline import Timeline

Settings = dict[str, str]


@pytest.fixture
def bot(
    make_launcher: Callable[[Callable[[], Zygote]], Launcher],
    cold_zygote: Zygote,
    timeline: Timeline,
    worker_environment: Settings,
) -> BotActor:
    return BotActor(launcher=make_launcher(lambda: cold_zygote), timeline=timeline, environment=worker_environment)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SimError) as caught:
        call()
    return caught.value.code


def test_bot_reports_each_cycle_and_stops_when_told(bot: BotActor, timeline: Timeline) -> None:
    before = open_descriptors()
    bot.start()

    assert [bot.cycle()["cycle"], bot.cycle()["cycle"]] == [1, 2]
    assert bot.stop().exit_code == 0
    assert [event.kind for event in timeline if event.kind.startswith("bot.")] == [
        "bot.started",
        "bot.cycled",
        "bot.cycled",
        "bot.stopped",
    ]
    assert open_descriptors() == before


def test_second_bot_is_refused_until_the_first_has_stopped(bot: BotActor) -> None:
    first = bot.start()

    assert code_of(bot.start) == "stage/bot_running"
    bot.terminate()
    assert bot.start().pid != first.pid
    assert bot.kill().exit_code == -signal.SIGKILL


@pytest.mark.parametrize("act", [BotActor.cycle, BotActor.stop, BotActor.kill, BotActor.terminate])
def test_bot_that_was_never_started_can_do_nothing(bot: BotActor, act: Callable[[BotActor], object]) -> None:
    assert code_of(lambda: act(bot)) == "stage/bot_not_running"


def test_bot_that_ends_in_mid_cycle_is_told_with_its_last_words(bot: BotActor) -> None:
    bot.start()
    bot.cycle()
    # Its portfolio becomes what it cannot have written; the bot refuses to go on.
    home = bot.environment["BOT_HOME"]
    with open(f"{home}/live_portfolio.json", "w") as portfolio:
        portfolio.write("{")

    with pytest.raises(SimError) as caught:
        bot.cycle()

    assert caught.value.code == "stage/bot_ended"
    assert "live_portfolio.json" in caught.value.message


def test_bot_that_somebody_killed_is_not_stepped_and_leaves_no_descriptor(bot: BotActor) -> None:
    before = open_descriptors()
    child = bot.start()
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not child.is_running(), "the end of the bot")

    assert code_of(bot.cycle) == "stage/bot_not_running"
    bot.close()
    bot.close()
    assert open_descriptors() == before


def test_closing_stops_a_bot_that_still_runs(bot: BotActor, timeline: Timeline) -> None:
    child = bot.start()

    bot.close()

    assert child.wait().exit_code == 0
    assert timeline.of_kind("bot.stopped")[0].detail == {"exit_code": 0}
