"""Which handler runs which command type. A type without one is refused by name, never ignored.

A handler's module is imported when its first command comes: a run of one command would else wait at every cold start
for nine handlers, and the risk engine, that it has no use for.
"""

from collections.abc import Iterator, Mapping

from worker.contracts.commands import CommandType
from worker.handlers.outcome import Handler


class HandlerRegistry(Mapping[CommandType, Handler]):
    """One handler per command type, all ten; each is made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[CommandType, Handler] = {}

    def __getitem__(self, command_type: CommandType) -> Handler:
        if command_type not in self._made:
            self._made[command_type] = _make(command_type)
        return self._made[command_type]

    def __contains__(self, command_type: object) -> bool:
        # The mapping's own way would make the handler to find out.
        return isinstance(command_type, CommandType)

    def __iter__(self) -> Iterator[CommandType]:
        return iter(CommandType)

    def __len__(self) -> int:
        return len(CommandType)


HANDLERS = HandlerRegistry()
"""The worker's handlers."""


def _make(command_type: CommandType) -> Handler:
    match command_type:
        case CommandType.APPLY_PROFILE_TESTNET:
            from worker.handlers.apply_profile import ApplyProfileHandler

            return ApplyProfileHandler()
        case CommandType.APPLY_BASELINE_HOLDINGS:
            from worker.handlers.apply_baseline import ApplyBaselineHandler

            return ApplyBaselineHandler()
        case CommandType.REQUEST_MANAGED_PROPOSAL:
            from worker.handlers.request_proposal import RequestProposalHandler

            return RequestProposalHandler()
        case CommandType.APPROVE_MANAGED_PROPOSAL:
            from worker.handlers.approve_proposal import ApproveProposalHandler

            return ApproveProposalHandler()
        case CommandType.REJECT_MANAGED_PROPOSAL:
            from worker.handlers.reject_proposal import RejectProposalHandler

            return RejectProposalHandler()
        case CommandType.PAUSE_MANAGED_ASSET:
            from worker.handlers.pause_resume import PauseAssetHandler

            return PauseAssetHandler()
        case CommandType.RESUME_MANAGED_ASSET:
            from worker.handlers.pause_resume import ResumeAssetHandler

            return ResumeAssetHandler()
        case CommandType.RELEASE_MANAGED_ASSET:
            from worker.handlers.release_asset import ReleaseAssetHandler

            return ReleaseAssetHandler()
        case CommandType.FLAG_MANAGED_DRIFT:
            from worker.handlers.flag_drift import FlagDriftHandler

            return FlagDriftHandler()
        case CommandType.DRY_RUN_PROMOTE_MANAGED:
            from worker.handlers.promote_dry_run import PromoteDryRunHandler

            return PromoteDryRunHandler()
