"""Which handler runs which command type. A type without one is refused by name, never ignored."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.contracts.commands import CommandType
from worker.handlers.apply_baseline import ApplyBaselineHandler
from worker.handlers.apply_profile import ApplyProfileHandler
from worker.handlers.outcome import Handler

HANDLERS: Mapping[CommandType, Handler] = MappingProxyType(
    {
        CommandType.APPLY_PROFILE_TESTNET: ApplyProfileHandler(),
        CommandType.APPLY_BASELINE_HOLDINGS: ApplyBaselineHandler(),
    }
)
"""One entry per command type that this worker can run."""
