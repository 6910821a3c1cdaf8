"""The database or the disk fails under the bot: bounded retries, one sentence, the portfolio whole."""

import os
from pathlib import Path

from sim.fake_bot import home as paths
from sim.fake_bot.reading import (
    content_of,
    explain_portfolio,
    explain_portfolio_change,
    read_journal,
    sha256_of,
)
from sim.postgres.leases import Lease
from sim.postgres.private import private_server
from sim.postgres.server import RunningServer
from sim.postgres.template import stack_template
from tests.sim.fake_bot.conftest import (
    StartBot,
    WarmBot,
    environment_of,
    heartbeats,
    portfolio_sha256,
)


def test_database_without_its_tables_is_refused(
    warm_bot: WarmBot, environment: dict[str, str], database: Lease
) -> None:
    database.connection.execute("DROP TABLE bot_statuses")
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (2, 1)
    assert "bot/database_schema" in ended.errors


def test_database_that_is_not_there_ends_the_bot_with_one_sentence(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    nowhere = {"GUI_DB_HOST": str(home), "GUI_DB_PASSWORD": "hunter-two"}
    ended = warm_bot.run({**environment, **nowhere}, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
    assert "bot/database_unavailable" in ended.errors
    assert "hunter-two" not in ended.errors
    assert not (home / paths.PORTFOLIO).exists()


def test_connection_cut_between_cycles_is_made_again(
    start_bot: StartBot, environment: dict[str, str], database: Lease
) -> None:
    bot = start_bot(environment, "--paced")
    bot.cycle()
    database.connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'bot'"
    )
    assert bot.cycle()["cycle"] == 2
    assert [row[2] for row in heartbeats(database)] == [1, 2]


def test_server_killed_between_cycles_ends_the_bot_and_a_restart_goes_on(
    start_bot: StartBot, postgres_server: RunningServer, home: Path
) -> None:
    with private_server(postgres_server.run_id, postgres_server.run_dir, stack_template()) as server:
        environment = environment_of(home, server.address.environment())
        bot = start_bot(environment, "--paced", "--trade-every", "1")
        bot.cycle()
        server.kill()
        bot.say("cycle")
        ended = bot.end()
        assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
        assert "bot/database_unavailable" in ended.errors
        assert explain_portfolio(home)

        server.start()
        again = start_bot(environment, "--paced", "--trade-every", "1")
        assert again.cycle()["cycle"] == 2


def test_log_that_cannot_be_written_ends_the_bot_with_one_sentence_and_the_portfolio_whole(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    warm_bot.run(environment, "--cycles", "1")
    (home / paths.LOG).unlink()
    (home / paths.LOG).mkdir()
    ended = warm_bot.run(environment, "--cycles", "1")
    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
    assert str(home / paths.LOG) in ended.errors
    assert explain_portfolio(home)
    os.rmdir(home / paths.LOG)
    assert warm_bot.run(environment, "--cycles", "1").exit_code == 0


def test_disk_that_is_full_ends_the_bot_with_one_sentence_and_a_restart_goes_on(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    # The journal is the largest file by now, so it is the one that a limit on file size cuts.
    warm_bot.run(environment, "--cycles", "40")
    before = content_of(home / paths.PORTFOLIO)
    size = (home / paths.JOURNAL).stat().st_size
    assert size > (home / paths.MARKET).stat().st_size + 100
    ended = warm_bot.run(environment, "--cycles", "10", "--trade-every", "1", max_file_bytes=size + 100)
    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1)
    assert "bot/disk" in ended.errors
    assert read_journal(home).torn_bytes == 100
    assert content_of(home / paths.PORTFOLIO) == before
    assert explain_portfolio(home)

    assert warm_bot.run(environment, "--cycles", "10").exit_code == 0
    assert read_journal(home).torn_bytes == 0
    assert explain_portfolio_change(home, before=sha256_of(before), after=portfolio_sha256(home))
