"""`state/risk_proposals/<proposal_id>.json`: written once per proposal and never again (MH-3b).

Its schema is `worker.contracts.proposal_document`'s, version 1. Source: contract §2, §8, "Writer".
"""

from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import Proposal
from worker.readers.home import Home
from worker.writers.atomic import create_file, make_folder
from worker.writers.document import encode_document
from worker.writers.home_lock import HomeLock


def write_proposal(home: Home, lock: HomeLock, *, proposal: Proposal, attempt: int) -> bool:
    """Write the proposal unless its id has a file already; True if it was written now.

    The one that is there stands, whatever it holds: an operator may have seen it. A retry reads it and goes on with it.

    Raises: `HomeWriteError`; `ValueError` for a value the schema has no place for; `HomeLockNotHeld`.
    Effects: at most one new file and, the first time, its folder; durable on return.
    """
    lock.require_held(home)
    content = encode_document(proposal_document(proposal))
    make_folder(home.risk_proposals)
    path = home.risk_proposal(proposal.proposal_id)
    return create_file(path, content, owner=f"{proposal.command_id}-{attempt}")
