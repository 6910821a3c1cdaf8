"""A proposal as the database caches it, read as strictly as its file: never guessed at. Source: contract §2, §6."""

from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.managed_errors import ProposalNotFound, ProposalNotReadable
from worker.contracts.proposal_document import ProposalDamaged, parse_proposal
from worker.contracts.proposals import Proposal
from worker.db.proposal_store import ProposalRow, find_proposal


def existing_row(connection: Connection, proposal_id: UUID) -> ProposalRow:
    """The cached row of that proposal.

    Raises: `ProposalNotFound`.
    """
    row = find_proposal(connection, proposal_id)
    if row is None:
        raise ProposalNotFound(proposal_id)
    return row


def read_document(row: ProposalRow) -> Proposal:
    """The proposal that the row's document holds.

    Raises: `ProposalNotReadable` for a row without a document, with a damaged one, or with another proposal's.
    """
    if row.document is None:
        raise ProposalNotReadable(row.proposal_id, found="no document")
    try:
        proposal = parse_proposal(row.document)
    except ProposalDamaged as damage:
        raise ProposalNotReadable(row.proposal_id, found=f"a document damaged at {damage.place}") from damage
    if (proposal.proposal_id, proposal.asset) != (row.proposal_id, row.asset):
        raise ProposalNotReadable(row.proposal_id, found="the document of another proposal")
    return proposal
