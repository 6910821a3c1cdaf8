"""`request_managed_proposal`: the engine's proposal as a file, and its asset from frozen to risk_proposed.

The file comes first and is immutable; a retry that finds it goes on with it. Source: contract §5, §7, §8.
"""

from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import ProposalAlreadyOpen, ProposalExpired
from worker.contracts.payloads import RequestProposal
from worker.contracts.proposals import OPEN_FOR, Proposal, ProposalId
from worker.contracts.transitions import OPEN_PROPOSAL, REQUEST, require_path
from worker.db.bus_store import ClaimedCommand
from worker.db.proposal_store import correct_row, expire_requested, find_proposal, record_generated
from worker.guards.decisions import require_unexpired_proposal
from worker.guards.freshness import is_expired
from worker.guards.operator_words import require_words
from worker.handlers.active_profile import the_active_profile
from worker.handlers.managed_cache import Repair
from worker.handlers.managed_flow import Done, ManagedHandler, Plan
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.handlers.proposal_judgement import recalled_proposal, require_undecided
from worker.readers.baseline import BaselineHolding
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.market import engine_market, read_market
from worker.readers.proposals import read_proposal
from worker.risk.engine import assess
from worker.risk.inputs import EngineInputs
from worker.writers.home_lock import HomeLock
from worker.writers.proposals import write_proposal


class RequestProposalHandler(ManagedHandler[RequestProposal]):
    """Proposes for a frozen asset, by the one active profile and the market as the bot last saw it."""

    command_type = CommandType.REQUEST_MANAGED_PROPOSAL
    verb = "request"
    payload_type = RequestProposal

    def plan(self, assignment: Assignment, payload: RequestProposal, standing: Standing) -> Plan:
        """The proposal, and its asset under it.

        Raises: `Refusal` when the asset cannot be proposed for, the proposal was made or has ended before, the request
        comes too late, or profile or market give no basis; `TransientError`.
        """
        require_words(
            payload.intent, name="intent", reason=Reason.INTENT_REQUIRED, subject=f"the request for {payload.asset}"
        )
        entry, holding = standing.require_in_baseline()
        _require_frozen(standing.asset, entry, holding)
        is_row_lost = _require_new(assignment, entry, payload.proposal_id)
        proposal = _kept(assignment, payload) or _generated(assignment, payload, standing)
        return Plan(
            entry=ManagedAsset(
                state=REQUEST.ends_in,
                changed_at=assignment.now,
                command_id=CommandId(assignment.command.command_id),
                proposal_id=proposal.proposal_id,
            ),
            holding=holding,
            proposal=proposal,
            seen={
                "profile_id": proposal.profile_id,
                "profile_version": proposal.profile_version,
                "market_at": proposal.market_at,
            },
            differences=("managed_proposals: no row",) if is_row_lost else (),
        )

    def write_first(self, assignment: Assignment, lock: HomeLock, plan: Plan) -> None:
        """Effects: the proposal's file, unless an earlier attempt wrote it."""
        if plan.proposal is None:
            raise RuntimeError("a request was planned without its proposal")
        write_proposal(assignment.home, lock, proposal=plan.proposal, attempt=assignment.command.attempt)

    def recall(self, home: Home, payload: RequestProposal) -> Proposal | None:
        """The proposal that an earlier attempt wrote."""
        return recalled_proposal(home, payload.proposal_id, asset=payload.asset)

    def write_rows(self, connection: Connection, done: Done[RequestProposal]) -> None:
        """Effects: the proposal's row, whole."""
        if done.proposal is None:
            raise RuntimeError("a request was done without its proposal")
        write = correct_row if done.is_repair else record_generated
        write(connection, proposal=done.proposal)

    def failed_rows(self, command: ClaimedCommand) -> Repair | None:
        """A request that came to nothing ends the proposal it was to make."""
        return lambda connection: expire_requested(connection, command_id=command.command_id)


def _require_frozen(asset: str, entry: ManagedAsset, holding: BaselineHolding) -> None:
    if entry.state in OPEN_PROPOSAL and entry.proposal_id is not None:
        raise ProposalAlreadyOpen(asset, proposal_id=entry.proposal_id, state=entry.state.value)
    require_path(asset, entry.state, "request")
    if not holding.frozen:
        raise Refusal(
            Reason.ASSET_NOT_FROZEN,
            f"asset {asset} is {entry.state.value} and its holding is not; restore both files from one backup",
        )


def _require_new(assignment: Assignment, entry: ManagedAsset, proposal_id: UUID) -> bool:
    """True when the proposal's row, made with the request, is lost.

    Else it says until when the request could wait, and whether its proposal has ended since.

    Raises: `ProposalAlreadyDecided`, `ProposalExpired`.
    """
    require_undecided(assignment.connection, entry, proposal_id)
    row = find_proposal(assignment.connection, proposal_id)
    if row is not None and is_expired(assignment.now, row.expires_at):
        raise ProposalExpired(proposal_id, expires_at=row.expires_at, now=assignment.now)
    return row is None


def _kept(assignment: Assignment, payload: RequestProposal) -> Proposal | None:
    """The proposal that an earlier attempt of this command wrote; None if there is none.

    Raises: `ProposalAlreadyDecided` for one that another command wrote; `ProposalExpired`; `DamagedFile`.
    """
    proposal = read_proposal(assignment.home, payload.proposal_id)
    if proposal is None:
        return None
    if proposal.command_id != assignment.command.command_id or proposal.asset != payload.asset:
        raise ProposalAlreadyDecided(
            subject=f"proposal {payload.proposal_id}", found="made", winner=str(proposal.command_id), expected="new"
        )
    require_unexpired_proposal(proposal, assignment.now)
    return proposal


def _generated(assignment: Assignment, payload: RequestProposal, standing: Standing) -> Proposal:
    profile = the_active_profile(assignment.connection)
    market = read_market(assignment.home)
    if market is None:
        raise Refusal(
            Reason.MARKET_DATA_INSUFFICIENT,
            f"a proposal for {payload.asset} needs the bot's market snapshot, found no file; start the bot first",
        )
    holdings = {} if standing.pair.baseline is None else standing.pair.baseline.holdings
    assessment = assess(
        EngineInputs(
            asset=payload.asset,
            holdings={asset: holding.quantity for asset, holding in holdings.items()},
            market=engine_market(market),
            market_at=market.generated_at,
            now=assignment.now,
            risk=profile.risk_settings,
            open_positions=len(standing.managed_assets),
            exposure_used_pct=standing.exposure_pct,
        )
    )
    return Proposal(
        proposal_id=ProposalId(payload.proposal_id),
        command_id=CommandId(assignment.command.command_id),
        asset=payload.asset,
        intent=payload.intent,
        requested_by=payload.requested_by,
        generated_at=assignment.now,
        expires_at=assignment.now + OPEN_FOR,
        profile_id=profile.profile_id,
        profile_version=profile.version,
        market_at=market.generated_at,
        assessment=assessment,
    )
