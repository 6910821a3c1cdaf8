"""Everything in the bot's home is where the contract says."""

from pathlib import Path
from uuid import UUID

from worker.readers.home import Home


def test_paths_are_those_of_the_contract() -> None:
    home = Home(Path("/srv/bot"))
    named = UUID(int=1)

    assert {
        str(path.relative_to("/srv/bot"))
        for path in (
            home.env_file,
            home.live_portfolio,
            home.runtime_config,
            home.command_bus_versions,
            home.baseline_holdings,
            home.managed_state,
            home.risk_proposal(named),
            home.audit_snapshot(named),
            home.market_snapshot,
            home.lock,
            home.intent,
            home.bot_journal,
            home.worker_pid,
        )
    } == {
        ".env",
        "live_portfolio.json",
        "runtime_config.json",
        "gui/command_bus_versions.json",
        "state/baseline_holdings.json",
        "state/managed_state.json",
        "state/risk_proposals/00000000-0000-0000-0000-000000000001.json",
        "state/audit_snapshots/00000000-0000-0000-0000-000000000001.json",
        "state/market_snapshot.json",
        "state/.lock",
        "state/.intent.json",
        "logs/bot_journal.jsonl",
        "logs/command_worker.pid",
    }
