"""The profile whose risk settings a proposal is made by, and those of the profile it was made by, as they are now.

Source: contract §6 (closed lists), §8 ("Engine").
"""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import ProfileStatus
from worker.db.profile_store import StoredProfile, active_profiles, find_profile
from worker.guards.limits import cross_field_problems, range_problems, refuse, risk_key_problems


def the_active_profile(connection: Connection) -> StoredProfile:
    """The one active profile, its risk settings found in order.

    Raises: `Refusal` (`state/profile_not_active` for none, `state/profile_ambiguous` for several; a `validation/…`
    reason for settings that no profile may have).
    """
    active = active_profiles(connection)
    if not active:
        raise Refusal(
            Reason.PROFILE_NOT_ACTIVE,
            "a proposal needs the risk settings of the active profile, found none; activate one",
        )
    if len(active) > 1:
        raise Refusal(
            Reason.PROFILE_AMBIGUOUS,
            f"a proposal needs one active profile, found {active[0].profile_id}, {active[1].profile_id} and perhaps "
            "more; archive all but one",
        )
    _require_settings(active[0])
    return active[0]


def settings_in_force(connection: Connection, profile_id: UUID) -> Mapping[str, Decimal]:
    """The risk settings of that profile as they are now.

    Raises: `Refusal` (`state/profile_not_active` when it is gone or not active; a `validation/…` reason).
    """
    profile = find_profile(connection, profile_id)
    if profile is None or profile.status is not ProfileStatus.ACTIVE:
        found = "gone" if profile is None else profile.status.value
        raise Refusal(
            Reason.PROFILE_NOT_ACTIVE,
            f"profile {profile_id}, by which the proposal was made, is {found}, expected active; "
            "request a new proposal",
        )
    _require_settings(profile)
    return profile.risk_settings


def _require_settings(profile: StoredProfile) -> None:
    subject = f"profile {profile.profile_id}"
    risk = dict(profile.risk_settings)
    refuse(Reason.RISK_NOT_ALLOWED, risk_key_problems(risk), subject=subject)
    refuse(Reason.VALUE_OUT_OF_RANGE, range_problems(risk), subject=subject)
    refuse(Reason.CROSS_FIELD_VIOLATION, cross_field_problems(risk), subject=subject)
