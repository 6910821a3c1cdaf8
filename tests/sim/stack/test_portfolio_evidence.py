"""What is told about the bot's own files when somebody else was at them, though no sensor was in their process."""

import json
import subprocess

import pytest

from sim.rules.g10 import portfolio_drift_unexplained
from sim.stack.stack import Stack
from sim.witness.audit import acting_as

RULE = "portfolio_drift_unexplained"
PORTFOLIO, JOURNAL = "live_portfolio.json", "logs/bot_journal.jsonl"


def by_hand(unjudged: Stack, script: str) -> None:
    """Effects: a shell, in which no sensor sits, does `script` in the home."""
    subprocess.run(["/bin/sh", "-euc", script], cwd=unjudged.home, check=True, timeout=10)


def traded(unjudged: Stack, cycles: int = 2) -> None:
    """Effects: a bot wrote a portfolio in every cycle; the first one is kept beside the home."""
    unjudged.bot.start(trade_every=1)
    unjudged.bot.cycle()
    (unjudged.home.parent / "first.json").write_bytes((unjudged.home / PORTFOLIO).read_bytes())
    for _ in range(cycles - 1):
        unjudged.bot.cycle()


def after_of(unjudged: Stack) -> list[str]:
    unjudged.finish()
    return [breach.after for breach in portfolio_drift_unexplained(unjudged.timeline)]


def test_portfolio_that_the_bot_alone_wrote_is_explained(unjudged: Stack) -> None:
    traded(unjudged)

    assert after_of(unjudged) == []


def test_portfolio_of_a_bot_that_was_killed_is_explained(unjudged: Stack) -> None:
    traded(unjudged)
    unjudged.bot.kill()
    unjudged.bot.start(trade_every=1)

    assert after_of(unjudged) == []


@pytest.mark.parametrize(
    "script",
    [f"rm {PORTFOLIO}", f"cp ../first.json {PORTFOLIO}", f"echo ' ' >> {PORTFOLIO}"],
    ids=["deleted", "rolled back", "changed"],
)
def test_portfolio_that_is_not_the_last_one_written_is_told(unjudged: Stack, script: str) -> None:
    traded(unjudged, cycles=3)
    by_hand(unjudged, script)

    (after,) = after_of(unjudged)
    assert "is not what the journal says was written last" in after


def test_portfolio_with_a_journal_line_of_another_process_is_told(unjudged: Stack) -> None:
    traded(unjudged)
    line = json.loads((unjudged.home / JOURNAL).read_text().splitlines()[-1])
    forged = json.dumps({**line, "pid": 1, "previous_sha256": line["sha256"]})
    by_hand(unjudged, f"echo '{forged}' >> {JOURNAL}")

    (after,) = after_of(unjudged)
    assert "a journal line of process 1, which is no bot of the story" in after


@pytest.mark.parametrize("name", [PORTFOLIO, JOURNAL, "state/market_snapshot.json"])
def test_file_of_the_bot_that_a_worker_opens_for_writing_is_told(unjudged: Stack, name: str) -> None:
    traded(unjudged)
    with acting_as("worker:w1"):
        (unjudged.home / name).open("a").close()

    (after,) = after_of(unjudged)
    assert f"{name}: file.open by worker:w1" in after
