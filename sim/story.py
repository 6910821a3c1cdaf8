"""The words a scenario may use. Re-exports only; see each for what it means."""

from sim.clock import hours, microseconds, minutes, seconds
from sim.schedule.crashing import every_crash, every_cut, every_power_cut
from sim.schedule.hooks import point
from sim.schedule.interleaving import every_interleaving
from sim.schedule.outcome import Outcome, OutcomeKind
from sim.schedule.race import Race, Reach
from sim.schedule.reach import ANYBODY_WAITED, at_once, before_either, between, inside_transaction, waited
from sim.stack.child import Child, Ended, wait_until
from sim.stack.code import delivered_code, imported_by_worker
from sim.stack.exchange_actor import ExchangeOrder
from sim.stack.faults import DISK_FULL, UNWATCHED
from sim.stack.given import (
    REFERENCE_CONFIG,
    REFERENCE_PROFILE,
    REFERENCE_RISK,
    reference_payload,
)
from sim.stack.given_managed import BASELINE
from sim.stack.home import ENV_FILE
from sim.stack.loopback_exchange import LoopbackExchange, exchange_on_loopback
from sim.stack.managed_payloads import managed_payload
from sim.stack.managed_views import AnyProposal, AssetView, MoveView, ProposalView
from sim.stack.migrations import Migrations
from sim.stack.operator_actor import Operator
from sim.stack.outside import METRICS, Measured, before_and_after
from sim.stack.rows import CommandView
from sim.stack.stack import Stack
from worker.services.submission import CreatedCommand

__all__ = [
    "ANYBODY_WAITED",
    "BASELINE",
    "DISK_FULL",
    "ENV_FILE",
    "METRICS",
    "REFERENCE_CONFIG",
    "REFERENCE_PROFILE",
    "REFERENCE_RISK",
    "UNWATCHED",
    "AnyProposal",
    "AssetView",
    "Child",
    "CommandView",
    "CreatedCommand",
    "Ended",
    "ExchangeOrder",
    "LoopbackExchange",
    "Measured",
    "Migrations",
    "MoveView",
    "Operator",
    "Outcome",
    "OutcomeKind",
    "ProposalView",
    "Race",
    "Reach",
    "Stack",
    "at_once",
    "before_and_after",
    "before_either",
    "between",
    "delivered_code",
    "every_crash",
    "every_cut",
    "every_interleaving",
    "every_power_cut",
    "exchange_on_loopback",
    "hours",
    "imported_by_worker",
    "inside_transaction",
    "managed_payload",
    "microseconds",
    "minutes",
    "point",
    "reference_payload",
    "seconds",
    "wait_until",
    "waited",
]
