"""Whether a proposal can still be decided, judged by its file and its asset's entry; the row only tells how it ended.

Source: contract §6 (`ProposalService`), §8.
"""

from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import ProposalExpired, ProposalNotFound
from worker.contracts.proposals import Proposal, expiry_change_id
from worker.contracts.states import ManagedState
from worker.contracts.transitions import MANAGED, require_path
from worker.db.proposal_store import find_proposal
from worker.guards.decisions import require_unexpired_proposal
from worker.handlers.managed_standing import Standing
from worker.handlers.outcome import Assignment
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.proposals import read_proposal


def existing_proposal(home: Home, proposal_id: UUID, *, asset: str) -> Proposal:
    """The proposal of that id, which is one of `asset`.

    Raises: `ProposalNotFound`; `DamagedFile`, `UnreadableFile`.
    """
    proposal = read_proposal(home, proposal_id)
    if proposal is None:
        raise ProposalNotFound(proposal_id)
    if proposal.asset != asset:
        raise ProposalNotFound(proposal_id, asset=asset)
    return proposal


def recalled_proposal(home: Home, proposal_id: UUID, *, asset: str) -> Proposal:
    """The proposal that a change of `asset` on disk was made under; its file was there, so a missing one is damage.

    Raises: `DamagedFile`, `UnreadableFile`.
    """
    proposal = read_proposal(home, proposal_id, asset=asset)
    if proposal is None:
        raise DamagedFile(
            home.risk_proposal(proposal_id),
            place="the file itself",
            problem="expected the proposal that an asset was changed under, found no file",
        )
    return proposal


def require_decidable(assignment: Assignment, standing: Standing, proposal_id: UUID, verb: str) -> Proposal:
    """The proposal, once it exists, is the asset's, is undecided, and has not expired.

    Raises: `ProposalNotFound`, `ProposalAlreadyDecided`, `ProposalExpired`, and `Refusal` with
    `state/asset_not_in_baseline` or `state/illegal_transition`, in this order; `DamagedFile`, `UnreadableFile`.
    """
    proposal = existing_proposal(assignment.home, proposal_id, asset=standing.asset)
    entry, _ = standing.require_in_baseline()
    if entry.state is not ManagedState.RISK_PROPOSED or entry.proposal_id != proposal_id:
        require_undecided(assignment.connection, entry, proposal_id)
        require_unexpired_proposal(proposal, assignment.now)
        require_path(standing.asset, entry.state, verb)
        raise Refusal(
            Reason.ILLEGAL_TRANSITION,
            f"asset {standing.asset} stands under proposal {entry.proposal_id}, expected {proposal_id} to {verb} it; "
            "reload the page to see where it stands",
        )
    require_unexpired_proposal(proposal, assignment.now)
    return proposal


def require_undecided(connection: Connection, entry: ManagedAsset | None, proposal_id: UUID) -> None:
    """Nothing for a proposal that neither the asset's entry nor its row says has ended.

    Raises: `ProposalAlreadyDecided`, `ProposalExpired`.
    """
    subject = f"proposal {proposal_id}"
    if entry is not None and entry.proposal_id == proposal_id and entry.state in MANAGED:
        raise ProposalAlreadyDecided(subject=subject, found=ManagedState.APPROVED.value)
    if entry is not None and entry.command_id == expiry_change_id(proposal_id):
        raise ProposalExpired(proposal_id, expires_at=None, now=None)
    row = find_proposal(connection, proposal_id)
    if row is None:
        return
    if row.decided_at is not None:
        raise ProposalAlreadyDecided(subject=subject, found=row.decision or row.state.value)
    if row.state is ManagedState.EXPIRED:
        raise ProposalExpired(proposal_id, expires_at=row.expires_at, now=None)
