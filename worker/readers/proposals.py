"""`state/risk_proposals/<proposal_id>.json`: a risk proposal as it was generated.

Its schema is `worker.contracts.proposal_document`'s, version 1. Source: contract §2, §8.
"""

from pathlib import Path
from uuid import UUID

from worker.contracts.proposal_document import ProposalDamaged, parse_proposal
from worker.contracts.proposals import SCHEMA_VERSION, Proposal
from worker.readers.document import DamagedFile, parse_document, read_bytes
from worker.readers.home import Home


def read_proposal(home: Home, proposal_id: UUID, *, asset: str | None = None) -> Proposal | None:
    """The proposal of that id, or None when it has no file; one of `asset`, where the caller knows that it must be.

    Raises: `DamagedFile` with path and place, also for a file that holds another proposal or another asset's;
    `UnreadableFile`.
    """
    path = home.risk_proposal(proposal_id)
    content = read_bytes(path)
    if content is None:
        return None
    proposal = decode_proposal(content, path=path)
    if proposal.proposal_id != proposal_id:
        raise DamagedFile(
            path, place="$.proposal_id", problem=f"expected the one of its name, found {proposal.proposal_id}"
        )
    if asset is not None and proposal.asset != asset:
        raise DamagedFile(path, place="$.asset", problem=f"expected {asset}, found {proposal.asset}")
    return proposal


def decode_proposal(content: bytes, *, path: Path) -> Proposal:
    """The proposal that `content`, read from `path`, holds.

    Raises: `DamagedFile` with the place of the first thing that does not fit the schema.
    """
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    try:
        return parse_proposal(document)
    except ProposalDamaged as damaged:
        raise DamagedFile(path, place=damaged.place, problem=damaged.problem) from damaged
