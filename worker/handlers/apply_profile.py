"""`apply_profile_testnet`: validates a profile against today's database and reports; it changes nothing.

Source: contract §7 (rows and result), G10-3c.
"""

from decimal import Decimal
from typing import Any

from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import ApplyProfile
from worker.contracts.states import CommandStatus, ProfileStatus
from worker.db.bus_store import ClaimedCommand
from worker.db.profile_store import StoredProfile, find_profile_for
from worker.guards.freshness import is_expired
from worker.guards.limits import config_problems, cross_field_problems, range_problems, refuse, risk_key_problems
from worker.guards.requester import require_admin_role
from worker.guards.secrets import secret_problems
from worker.handlers.outcome import Assignment, Outcome, note, refused
from worker.handlers.payload_check import check_payload, profile_version, require_unexpired
from worker.readers.home import Home

PHASE = "G10-3b"
"""Named in every result, so that a reader knows which rules judged it."""

_STARTED = note("apply_profile_testnet.dry_run_started")


class ApplyProfileHandler:
    """Judges the profile that the payload names; the payload's own summary is for people."""

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        """False: nothing of a dry run ever reaches a file."""
        return False

    def run(self, assignment: Assignment) -> Outcome:
        """Succeeded with the fixed result of a dry run, or refused with the first rule that says no."""
        try:
            payload = check_payload(assignment, ApplyProfile)
            require_unexpired(assignment)
            version = profile_version(assignment.fields)
            profile = self._profile(assignment, payload, version)
            config_keys, risk_keys = _validate(profile)
        except Refusal as refusal:
            return self.failure(refusal, assignment.command)
        return Outcome(
            status=CommandStatus.SUCCEEDED,
            result={
                "ok": True,
                "dry_run": True,
                "validated": True,
                "profile_id": str(profile.profile_id),
                "version": profile.version,
                "validated_summary_keys_n": config_keys,
                "validated_risk_keys_n": risk_keys,
                "would_apply": False,
                "runtime_mutation": False,
                "handler_phase": PHASE,
            },
            log_rows=(_STARTED, note("apply_profile_testnet.dry_run_succeeded")),
        )

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """A refused dry run leaves the same number of rows as one that succeeded."""
        rejected = note("apply_profile_testnet.dry_run_rejected", {"reason": refusal.reason.value})
        return refused(refusal, log_rows=(_STARTED, rejected))

    def _profile(self, assignment: Assignment, payload: ApplyProfile, version: int) -> StoredProfile:
        """The profile as it stands now, still active and at the version the operator saw, who is still an admin."""
        command = assignment.command
        found = find_profile_for(assignment.connection, payload.profile_id, command.requested_by)
        if found is None:
            raise Refusal(Reason.PROFILE_NOT_FOUND, f"profile {payload.profile_id} does not exist; choose another")
        profile, requesters_role = found
        if is_expired(profile.read_at, command.expires_at):
            raise Refusal(
                Reason.COMMAND_EXPIRED,
                f"command {command.command_id} expired at {command.expires_at} while it ran; request it again",
            )
        require_admin_role(command.requested_by, requesters_role)
        if profile.status is not ProfileStatus.ACTIVE:
            raise Refusal(
                Reason.PROFILE_NOT_ACTIVE,
                f"profile {profile.profile_id} is {profile.status.value}, expected active; activate it first",
            )
        if profile.version != version:
            raise Refusal(
                Reason.PROFILE_VERSION_STALE,
                f"profile {profile.profile_id} is at version {profile.version}, the command was made for {version}; "
                "reload the page and request it again",
            )
        return profile


def _validate(profile: StoredProfile) -> tuple[int, int]:
    """How many config and risk keys were validated.

    Raises: `Refusal` naming every problem of the first layer that has one.
    """
    subject = f"profile {profile.profile_id}"
    config: dict[str, Any] = profile.config if isinstance(profile.config, dict) else {}
    risk: dict[str, Decimal] = dict(profile.risk_settings)
    refuse(Reason.CONFIG_NOT_ALLOWED, config_problems(config), subject=subject)
    refuse(Reason.RISK_NOT_ALLOWED, risk_key_problems(risk), subject=subject)
    refuse(Reason.VALUE_OUT_OF_RANGE, range_problems(risk), subject=subject)
    refuse(Reason.CROSS_FIELD_VIOLATION, cross_field_problems(risk), subject=subject)
    refuse(Reason.SECRET_FOUND, secret_problems(config), subject=subject)
    return len(config), len(risk)
