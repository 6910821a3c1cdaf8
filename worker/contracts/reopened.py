"""What a worker keeps in mind of an asset that its files put under a final proposal again. Source: contract §8."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """An asset under a proposal that is open in the files and decided or expired in its row; `expires_at` is UTC."""

    asset: str
    proposal_id: UUID
    expires_at: datetime
