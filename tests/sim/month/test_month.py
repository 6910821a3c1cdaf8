"""A month of the bot on the double: what it met, that it adds up, and that a seed says all of it."""

import re

from click.testing import CliRunner

from sim.cli import main
from sim.month.runner import play_month


def test_books_add_up_to_the_last_digit_whatever_was_met() -> None:
    # Some hundred orders; the whole month is for `sim exchange month`.
    played = play_month(seed=1, days=8)

    assert list(played.lines())[-1] == "sound", "\n".join(played.lines())
    assert played.orders_sent > 200
    assert played.kills > 5
    assert sum(played.met.values()) > 100
    assert len(played.met) > 25
    assert {"history_gone", "order_not_placed", "order_refused", "order_settled"} <= played.reasons.keys()


def test_same_seed_is_the_same_month_and_another_is_another() -> None:
    first, again, other = (play_month(seed=seed, days=3) for seed in (3, 3, 4))

    assert list(first.lines()) == list(again.lines())
    assert first.portfolio_sha256 != other.portfolio_sha256


def test_command_prints_what_came_of_the_month() -> None:
    result = CliRunner().invoke(main, ["exchange", "month", "--seed", "5", "--days", "2"])

    assert result.exit_code == 0, result.output
    assert re.match(r"seed 5: 2 days, [0-9]+ cycles, [0-9]+ lives, [0-9]+ kills\n", result.output)
    assert result.output.endswith("sound\n")
