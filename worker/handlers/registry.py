"""Which handler runs which command type. A type without one is refused by name, never ignored."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.contracts.commands import CommandType
from worker.handlers.apply_baseline import ApplyBaselineHandler
from worker.handlers.apply_profile import ApplyProfileHandler
from worker.handlers.approve_proposal import ApproveProposalHandler
from worker.handlers.flag_drift import FlagDriftHandler
from worker.handlers.outcome import Handler
from worker.handlers.pause_resume import PauseAssetHandler, ResumeAssetHandler
from worker.handlers.promote_dry_run import PromoteDryRunHandler
from worker.handlers.reject_proposal import RejectProposalHandler
from worker.handlers.release_asset import ReleaseAssetHandler
from worker.handlers.request_proposal import RequestProposalHandler

HANDLERS: Mapping[CommandType, Handler] = MappingProxyType(
    {
        CommandType.APPLY_PROFILE_TESTNET: ApplyProfileHandler(),
        CommandType.APPLY_BASELINE_HOLDINGS: ApplyBaselineHandler(),
        CommandType.REQUEST_MANAGED_PROPOSAL: RequestProposalHandler(),
        CommandType.APPROVE_MANAGED_PROPOSAL: ApproveProposalHandler(),
        CommandType.REJECT_MANAGED_PROPOSAL: RejectProposalHandler(),
        CommandType.PAUSE_MANAGED_ASSET: PauseAssetHandler(),
        CommandType.RESUME_MANAGED_ASSET: ResumeAssetHandler(),
        CommandType.RELEASE_MANAGED_ASSET: ReleaseAssetHandler(),
        CommandType.FLAG_MANAGED_DRIFT: FlagDriftHandler(),
        CommandType.DRY_RUN_PROMOTE_MANAGED: PromoteDryRunHandler(),
    }
)
"""One entry per registered command type, all ten."""
