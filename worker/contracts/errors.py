"""Reason codes and the exceptions that carry them.

A *refusal* is terminal and recorded with its reason. A *transient* error leaves the command to recovery. Everything
else is a defect. Source: contract §4.
"""

from enum import StrEnum

from worker.contracts.states import TESTNET


class Reason(StrEnum):
    """Every `category/reason` a command can end with, or a service can refuse with. Source: contract §4."""

    MISSING_OR_BAD_VERSION = "validation/missing_or_bad_version"
    CHECKSUM_MISMATCH = "validation/checksum_mismatch"
    PAYLOAD_NOT_OBJECT = "validation/payload_not_object"
    PAYLOAD_MALFORMED = "validation/payload_malformed"
    PAYLOAD_TOO_LARGE = "validation/payload_too_large"
    SCHEMA_VIOLATION = "validation/schema_violation"
    EXPIRY_MISMATCH = "validation/expiry_mismatch"
    SUBJECT_MISMATCH = "validation/subject_mismatch"
    REQUESTER_MISMATCH = "validation/requester_mismatch"
    UNKNOWN_COMMAND_TYPE = "validation/unknown_command_type"
    HANDLER_NOT_AVAILABLE = "validation/handler_not_available"
    CONFIG_NOT_ALLOWED = "validation/config_not_allowed"
    RISK_NOT_ALLOWED = "validation/risk_not_allowed"
    VALUE_OUT_OF_RANGE = "validation/value_out_of_range"
    CROSS_FIELD_VIOLATION = "validation/cross_field_violation"
    SECRET_FOUND = "validation/secret_found"
    HOLDINGS_MALFORMED = "validation/holdings_malformed"
    UNKNOWN_REVISION = "validation/unknown_revision"
    USER_NOT_ALLOWED = "validation/user_not_allowed"
    VARIANT_UNKNOWN = "validation/variant_unknown"
    HARD_CONFIRM_MISMATCH = "validation/hard_confirm_mismatch"
    CONFIDENCE_OVERRIDE_REQUIRED = "validation/confidence_override_required"
    OVERRIDE_NOT_ALLOWED = "validation/override_not_allowed"
    REASON_REQUIRED = "validation/reason_required"
    INTENT_REQUIRED = "validation/intent_required"
    STRATEGY_REQUIRED = "validation/strategy_required"
    DRIFT_EVIDENCE_MALFORMED = "validation/drift_evidence_malformed"

    ENVIRONMENT_NOT_TESTNET = "guard/environment_not_testnet"
    DRY_RUN_REQUIRED = "guard/dry_run_required"
    EXCHANGE_CONNECTION_NOT_ALLOWED = "guard/exchange_connection_not_allowed"
    TESTNET_FLAG_NOT_TRUE = "guard/testnet_flag_not_true"

    COMMAND_EXPIRED = "expiry/command_expired"
    PROPOSAL_EXPIRED = "expiry/proposal_expired"

    ALREADY_DECIDED = "conflict/already_decided"
    PROPOSAL_ALREADY_OPEN = "conflict/proposal_already_open"
    LEASE_LOST = "conflict/lease_lost"
    HOME_LOCKED = "conflict/home_locked"
    CHANGE_UNDER_WAY = "conflict/change_under_way"

    PROFILE_NOT_FOUND = "state/profile_not_found"
    PROFILE_NOT_ACTIVE = "state/profile_not_active"
    PROFILE_VERSION_STALE = "state/profile_version_stale"
    BASELINE_ALREADY_APPLIED = "state/baseline_already_applied"
    ASSET_NOT_FROZEN = "state/asset_not_frozen"
    ILLEGAL_TRANSITION = "state/illegal_transition"
    ASSET_NOT_IN_BASELINE = "state/asset_not_in_baseline"
    PROPOSAL_NOT_FOUND = "state/proposal_not_found"
    PROPOSAL_NOT_READABLE = "state/proposal_not_readable"
    PROFILE_AMBIGUOUS = "state/profile_ambiguous"
    MARKET_DATA_INSUFFICIENT = "state/market_data_insufficient"
    POSITION_BELOW_MINIMUM = "state/position_below_minimum"
    TOO_MANY_POSITIONS = "state/too_many_positions"
    EXPOSURE_EXCEEDED = "state/exposure_exceeded"
    HOLDING_UNKNOWN = "state/holding_unknown"
    NO_DRIFT = "state/no_drift"
    COMMAND_NOT_FOUND = "state/command_not_found"
    COMMAND_NOT_PENDING = "state/command_not_pending"

    ATTEMPTS_EXHAUSTED = "recovery/attempts_exhausted"

    HOME_NOT_WRITABLE = "io/home_not_writable"
    DAMAGED_FILE = "io/damaged_file"
    TWO_FILE_CONFLICT = "io/two_file_conflict"
    DATABASE_UNAVAILABLE = "io/database_unavailable"

    @property
    def category(self) -> str:
        """The part before the slash."""
        return self.value.split("/", 1)[0]


class StackError(Exception):
    """An error with a reason code and a sentence that says what was expected, what was found and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason.value}: {message}")
        self.reason = reason
        self.message = message


class Refusal(StackError):
    """A rule said no. Terminal for the command, recorded with its reason; nothing else has changed."""


class EnvironmentNotAllowed(Refusal):
    """A caller, or a payload, asked for an environment other than testnet. Source: contract §6.

    `message` is what to say where `found` was no argument of a caller. What is too long for an environment's name is
    carried as its kind alone.
    """

    def __init__(self, found: object, *, message: str | None = None) -> None:
        # Anything longer than an environment's name may be a secret in the wrong argument.
        is_name = isinstance(found, str) and len(found) <= 16
        shown = repr(found) if is_name else f"a {type(found).__name__}"
        super().__init__(
            Reason.ENVIRONMENT_NOT_TESTNET,
            message or f"environment is fixed to 'testnet', found {shown}; leave the argument out",
        )
        self.expected = TESTNET
        self.found = found if is_name else shown


class ProposalAlreadyDecided(Refusal):
    """Another command came first: the one that holds the same idempotency key, or that decided the proposal.

    Also a proposal that cannot be decided because it is not proposed yet, or no longer.
    """

    def __init__(self, *, subject: str, found: str, winner: str | None = None, expected: str = "open") -> None:
        told = found if winner is None else f"{found} by command {winner}"
        super().__init__(
            Reason.ALREADY_DECIDED, f"{subject} is {told}, expected it to be {expected}; reload the page to see it"
        )
        self.expected = expected
        self.found = found
        self.winner = winner


class TransientError(StackError):
    """The database or the disk failed; the command stays where it is for recovery and the worker exits 1."""


class LeaseLost(StackError):
    """This worker's fencing number is no longer the command's; whatever it found is dropped."""

    def __init__(self, command_id: object, attempt: int) -> None:
        super().__init__(
            Reason.LEASE_LOST,
            f"command {command_id} is no longer held under attempt {attempt}; this worker's result is dropped",
        )
