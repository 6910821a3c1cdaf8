"""Which moves a proposal and an asset may make: one enum of ten states, two machines.

Source: contract §8. Anything that is not here is `state/illegal_transition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import ManagedState as S

Moves = frozenset[tuple[S, S]]

PROPOSAL_MOVES: Moves = frozenset(
    {
        (S.PROPOSAL_PENDING, S.RISK_PROPOSED),
        (S.PROPOSAL_PENDING, S.EXPIRED),
        (S.RISK_PROPOSED, S.APPROVED),
        (S.RISK_PROPOSED, S.REJECTED),
        (S.RISK_PROPOSED, S.EXPIRED),
    }
)
"""Every move of `managed_proposals.state`; approved, rejected and expired are final."""

ASSET_MOVES: Moves = frozenset(
    {
        (S.FROZEN, S.PROPOSAL_PENDING),
        (S.PROPOSAL_PENDING, S.RISK_PROPOSED),
        (S.PROPOSAL_PENDING, S.EXPIRED),
        (S.RISK_PROPOSED, S.APPROVED),
        (S.RISK_PROPOSED, S.REJECTED),
        (S.RISK_PROPOSED, S.EXPIRED),
        (S.APPROVED, S.MANAGED_ACTIVE),
        (S.REJECTED, S.FROZEN),
        (S.EXPIRED, S.FROZEN),
        (S.MANAGED_ACTIVE, S.PAUSED),
        (S.PAUSED, S.MANAGED_ACTIVE),
        (S.MANAGED_ACTIVE, S.DRIFT_FLAGGED),
        (S.PAUSED, S.DRIFT_FLAGGED),
        (S.DRIFT_FLAGGED, S.MANAGED_ACTIVE),
        (S.MANAGED_ACTIVE, S.RELEASED),
        (S.PAUSED, S.RELEASED),
        (S.DRIFT_FLAGGED, S.RELEASED),
        (S.RELEASED, S.FROZEN),
    }
)
"""Every move of an asset, in `managed_state.json` and `managed_assets_history`."""

PASSED_THROUGH: frozenset[S] = frozenset({S.APPROVED, S.REJECTED, S.EXPIRED, S.RELEASED})
"""States that an asset only passes inside one change: two history rows, and no asset rests there."""

PROPOSAL_STATES: frozenset[S] = frozenset({state for move in PROPOSAL_MOVES for state in move})
"""The five states a proposal can be in."""

OPEN_PROPOSAL: frozenset[S] = frozenset({S.PROPOSAL_PENDING, S.RISK_PROPOSED})
"""A proposal that is not final yet: its asset takes no second one."""

RESTING: frozenset[S] = frozenset(S) - PASSED_THROUGH
"""Where an asset can stand between two changes."""

MANAGED: frozenset[S] = frozenset({S.MANAGED_ACTIVE, S.PAUSED, S.DRIFT_FLAGGED})
"""An asset that is under management, whether it is traded just now or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetPath:
    """What one kind of change does to an asset: from where it may begin, and the states it then goes through."""

    begins_in: frozenset[S]
    through: tuple[S, ...]

    @property
    def ends_in(self) -> S:
        """Where the asset rests afterwards."""
        return self.through[-1]

    def steps_from(self, state: S) -> tuple[tuple[S, S], ...]:
        """The moves, one history row each, from `state` on."""
        return tuple(pairwise((state, *self.through)))


REQUEST = AssetPath(begins_in=frozenset({S.FROZEN}), through=(S.PROPOSAL_PENDING, S.RISK_PROPOSED))
APPROVE = AssetPath(begins_in=frozenset({S.RISK_PROPOSED}), through=(S.APPROVED, S.MANAGED_ACTIVE))
REJECT = AssetPath(begins_in=frozenset({S.RISK_PROPOSED}), through=(S.REJECTED, S.FROZEN))
EXPIRE = AssetPath(begins_in=OPEN_PROPOSAL, through=(S.EXPIRED, S.FROZEN))
PAUSE = AssetPath(begins_in=frozenset({S.MANAGED_ACTIVE}), through=(S.PAUSED,))
RESUME = AssetPath(begins_in=frozenset({S.PAUSED, S.DRIFT_FLAGGED}), through=(S.MANAGED_ACTIVE,))
RELEASE = AssetPath(begins_in=MANAGED, through=(S.RELEASED, S.FROZEN))
FLAG_DRIFT = AssetPath(begins_in=frozenset({S.MANAGED_ACTIVE, S.PAUSED}), through=(S.DRIFT_FLAGGED,))

PATHS: Mapping[str, AssetPath] = MappingProxyType(
    {
        "request": REQUEST,
        "approve": APPROVE,
        "reject": REJECT,
        "expire": EXPIRE,
        "pause": PAUSE,
        "resume": RESUME,
        "release": RELEASE,
        "flag drift": FLAG_DRIFT,
    }
)
"""The eight ways an asset changes, by the verb an operator knows."""


def require_path(asset: str, state: S, verb: str) -> AssetPath:
    """The path that `verb` takes, if an asset may begin it in `state`.

    Raises: `Refusal` (`state/illegal_transition`) naming where the asset is and where it would have to be.
    """
    path = PATHS[verb]
    if state not in path.begins_in:
        wanted = " or ".join(sorted(one.value for one in path.begins_in))
        raise Refusal(
            Reason.ILLEGAL_TRANSITION,
            f"asset {asset} is {state.value}, expected {wanted} to {verb}; reload the page to see where it stands",
        )
    return path
