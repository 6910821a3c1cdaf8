"""Whether a proposal may be decided as somebody asks: used by the service, and again by the handler.

Source: contract §6 (`ProposalService`), §8.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ConfidenceOverrideRequired, HardConfirmMismatch, ProposalExpired
from worker.contracts.proposals import Proposal, Variant
from worker.guards.freshness import is_expired
from worker.guards.holdings import MAX_FRACTION_DIGITS
from worker.guards.limits import refuse

MIN_CONFIDENCE = Decimal("0.50")
"""Below it an approval needs the operator's override. Source: contract §6."""

OVERRIDES = ("allocation_pct", "stop_loss_pct", "take_profit_pct")
"""What an approval may change of its variant: less at stake, a nearer stop, another target."""

_LOWER_ONLY = frozenset({"allocation_pct", "stop_loss_pct"})


def hard_confirm_text(asset: str, variant: str) -> str:
    """What an operator must type to approve."""
    return f"{asset}:{variant}"


def require_unexpired_proposal(proposal: Proposal, now: datetime) -> None:
    """Nothing while the proposal can still be decided; `now` is the database clock.

    Raises: `ProposalExpired` from the expiry instant on.
    """
    if is_expired(now, proposal.expires_at):
        raise ProposalExpired(proposal.proposal_id, expires_at=proposal.expires_at, now=now)


def require_variant(proposal: Proposal, variant: str) -> Variant:
    """The variant of that name.

    Raises: `Refusal` (`validation/variant_unknown`).
    """
    chosen = proposal.variant(variant)
    if chosen is None:
        names = ", ".join(one.name.value for one in proposal.assessment.variants)
        raise Refusal(
            Reason.VARIANT_UNKNOWN, f"expected a variant of proposal {proposal.proposal_id} ({names}); choose one"
        )
    return chosen


def require_approvable(
    proposal: Proposal,
    *,
    variant: str,
    overrides: Mapping[str, Any],
    hard_confirm: str,
    confidence_override: bool,
) -> Variant:
    """The variant that the approval takes, once the operator's own words fit the proposal.

    Raises: `Refusal` (`validation/variant_unknown`, `state/position_below_minimum`,
    `validation/override_not_allowed`), `HardConfirmMismatch`, `ConfidenceOverrideRequired`.
    """
    chosen = require_variant(proposal, variant)
    expected = hard_confirm_text(proposal.asset, variant)
    if hard_confirm != expected:
        raise HardConfirmMismatch(expected=expected, found=hard_confirm)
    score = proposal.assessment.confidence.overall_score
    if score < MIN_CONFIDENCE and confidence_override is not True:
        raise ConfidenceOverrideRequired(expected=MIN_CONFIDENCE, found=score)
    refuse(
        Reason.OVERRIDE_NOT_ALLOWED,
        override_problems(chosen, overrides),
        subject=f"the approval of proposal {proposal.proposal_id}",
    )
    _require_minimum(proposal, chosen, effective_terms(chosen, overrides)["allocation_pct"])
    return chosen


def _require_minimum(proposal: Proposal, variant: Variant, allocation_pct: Decimal) -> None:
    """Nothing when the variant, and the allocation asked for in its place, are worth the smallest position allowed."""
    value = allocation_pct * proposal.assessment.equity_usdt
    minimum = proposal.assessment.limits.get("min_position_value_usdt", Decimal(0))
    if not variant.meets_minimum or value < minimum:
        raise Refusal(
            Reason.POSITION_BELOW_MINIMUM,
            f"an allocation of {allocation_pct} of proposal {proposal.proposal_id} is worth {value:f} USDT, expected "
            f"at least {minimum}; choose a larger one or change the risk settings",
        )


def override_problems(variant: Variant, overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """Unknown keys, values outside (0, 1] or longer than a file has room for, and more at risk than the variant's."""
    if not isinstance(overrides, Mapping):
        return (f"overrides must be shares by name, found a {type(overrides).__name__}",)
    # A key nobody knows may be anything, a pasted secret included, so it is counted and not shown.
    unknown = len(overrides.keys() - set(OVERRIDES))
    problems = [f"{unknown} unknown override(s); allowed are {', '.join(OVERRIDES)}"] if unknown else []
    for key in OVERRIDES:
        if key not in overrides:
            continue
        value = overrides[key]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            problems.append(f"override {key} must be a decimal, found a {type(value).__name__}")
        elif not (Decimal(value).is_finite() and 0 < value <= 1):
            problems.append(f"override {key} must be a share in (0, 1]")
        elif -int(Decimal(value).normalize().as_tuple().exponent) > MAX_FRACTION_DIGITS:
            problems.append(f"override {key} must have at most {MAX_FRACTION_DIGITS} digits after the point")
        elif key in _LOWER_ONLY and value > getattr(variant, key):
            problems.append(f"override {key} must be at most the variant's own {getattr(variant, key)}")
    return tuple(problems)


def effective_terms(variant: Variant, overrides: Mapping[str, Any]) -> dict[str, Decimal]:
    """The terms in force once `overrides`, found allowed before, replace the variant's own."""
    return {key: Decimal(overrides.get(key, getattr(variant, key))) for key in OVERRIDES}
