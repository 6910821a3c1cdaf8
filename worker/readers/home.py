"""Where everything in the bot's home lies. Source: contract §2."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one bot's home; nothing is opened, created or checked."""

    root: Path

    @property
    def env_file(self) -> Path:
        """Settings of the installation; nobody writes it, ever."""
        return self.root / ".env"

    @property
    def live_portfolio(self) -> Path:
        """What the bot holds; the bot alone writes it."""
        return self.root / "live_portfolio.json"

    @property
    def runtime_config(self) -> Path:
        """Must not come into being."""
        return self.root / "runtime_config.json"

    @property
    def command_bus_versions(self) -> Path:
        """Which version of each command's payload is understood."""
        return self.root / "gui" / "command_bus_versions.json"

    @property
    def state(self) -> Path:
        """The folder of the files the worker and the bot keep."""
        return self.root / "state"

    @property
    def baseline_holdings(self) -> Path:
        """Changes together with `managed_state`, or not at all."""
        return self.state / "baseline_holdings.json"

    @property
    def managed_state(self) -> Path:
        """Changes together with `baseline_holdings`, or not at all."""
        return self.state / "managed_state.json"

    @property
    def market_snapshot(self) -> Path:
        """Last prices and daily closes; the bot alone writes it."""
        return self.state / "market_snapshot.json"

    @property
    def lock(self) -> Path:
        """What the one process that may change files holds; never deleted."""
        return self.state / ".lock"

    @property
    def intent(self) -> Path:
        """Exists only while the two files change, or after an attempt to change them died."""
        return self.state / ".intent.json"

    @property
    def risk_proposals(self) -> Path:
        """The folder of risk proposals, each written once."""
        return self.state / "risk_proposals"

    def risk_proposal(self, proposal_id: UUID) -> Path:
        """The file of one risk proposal."""
        return self.risk_proposals / f"{proposal_id}.json"

    @property
    def audit_snapshots(self) -> Path:
        """The folder of audit snapshots, each written once."""
        return self.state / "audit_snapshots"

    def audit_snapshot(self, command_id: UUID) -> Path:
        """What the handler of one command saw and did."""
        return self.audit_snapshots / f"{command_id}.json"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.root / "logs"

    @property
    def bot_journal(self) -> Path:
        """The bot's own explanation of each change of its portfolio."""
        return self.logs / "bot_journal.jsonl"

    @property
    def worker_pid(self) -> Path:
        """Diagnostic; may stay behind when its process is gone."""
        return self.logs / "command_worker.pid"
