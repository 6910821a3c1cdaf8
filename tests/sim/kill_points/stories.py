"""Every change of files that a worker makes, each with the state of things it is to be made in.

One story per handler and way to begin, the expiries of a proposal, and three changes that a worker finds begun by one
that was killed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sim.clock import minutes
from sim.stack.stack import Stack
from worker.contracts.proposals import OPEN_FOR
from worker.services.submission import CreatedCommand

ASSET = "ETH"
HELD = {"BTC": "0.5", "ETH": "1.75"}
"""What the bot holds: of the asset another quantity than the baseline says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A file operation by what it does and to what, as a story names it."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One change.

    `given` brings a stack to where the change waits for a worker and returns its command; None for an expiry, which is
    no command. `begun_until` is the operation before which an earlier worker was killed; None where there was none.
    """

    name: str
    given: Callable[[Stack], CreatedCommand | None]
    begun_until: Operation | None = None

    def command_of(self, stack: Stack) -> UUID | None:
        """Effects: everything the change needs is there, the bot's files too."""
        stack.given.market()
        stack.given.portfolio(HELD)
        command = self.given(stack)
        return None if command is None else command.command_id


def _first_baseline(stack: Stack) -> CreatedCommand:
    return stack.operator().apply_baseline({"BTC": "0.5", "ETH": "2"})


def _next_baseline(stack: Stack) -> CreatedCommand:
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    return stack.operator().apply_baseline({"BTC": "0.25", "ETH": "3", "SOL": "40"})


def _request(stack: Stack) -> CreatedCommand:
    stack.given.reference_profile()
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    return stack.operator().request(ASSET)


def _later_request(stack: Stack) -> CreatedCommand:
    stack.given.risk_proposed("BTC")
    return stack.operator().request(ASSET)


def _approve(stack: Stack) -> CreatedCommand:
    proposal = stack.given.risk_proposed(ASSET)
    return stack.operator().approve(proposal, "balanced", confidence_override=True)


def _reject(stack: Stack) -> CreatedCommand:
    return stack.operator().reject(stack.given.risk_proposed(ASSET), reason="spread too wide")


def _pause(stack: Stack) -> CreatedCommand:
    stack.given.managed_active(ASSET)
    return stack.operator().pause(ASSET)


def _resume_paused(stack: Stack) -> CreatedCommand:
    stack.given.paused(ASSET)
    return stack.operator().resume(ASSET)


def _resume_flagged(stack: Stack) -> CreatedCommand:
    stack.given.drift_flagged(ASSET)
    return stack.operator().resume(ASSET)


def _release(strategy: str) -> Callable[[Stack], CreatedCommand]:
    def given(stack: Stack) -> CreatedCommand:
        stack.given.managed_active(ASSET)
        return stack.operator().release(ASSET, strategy)

    return given


def _flag_drift(stack: Stack) -> CreatedCommand:
    stack.given.managed_active(ASSET)
    return stack.given.flag_of_the_bot(ASSET)


def _expiry(stack: Stack) -> None:
    stack.given.risk_proposed(ASSET)
    stack.clock.advance(OPEN_FOR + minutes(1))


def _reopened(stack: Stack) -> None:
    proposal = stack.given.risk_proposed(ASSET)
    pair = [stack.home / "state" / name for name in ("baseline_holdings.json", "managed_state.json")]
    backup = [path.read_bytes() for path in pair]
    stack.operator().reject(proposal, reason="spread too wide")
    stack.worker.run_once()
    for path, content in zip(pair, backup, strict=True):
        path.write_bytes(content)
    stack.clock.advance(OPEN_FOR + minutes(1))


STORIES = (
    Story(name="apply_baseline_holdings, the first", given=_first_baseline),
    Story(name="apply_baseline_holdings, another", given=_next_baseline),
    Story(name="request_managed_proposal, the first", given=_request),
    Story(name="request_managed_proposal, another", given=_later_request),
    Story(name="approve_managed_proposal", given=_approve),
    Story(name="reject_managed_proposal", given=_reject),
    Story(name="pause_managed_asset", given=_pause),
    Story(name="resume_managed_asset, paused", given=_resume_paused),
    Story(name="resume_managed_asset, drift flagged", given=_resume_flagged),
    Story(name="release_managed_asset, keep_frozen", given=_release("keep_frozen")),
    Story(name="release_managed_asset, return_to_baseline", given=_release("return_to_baseline")),
    Story(name="flag_managed_drift", given=_flag_drift),
    Story(name="expiry of a proposal", given=_expiry),
    Story(name="expiry of a proposal that a backup opened again", given=_reopened),
    Story(
        name="request_managed_proposal, its proposal is there",
        given=_request,
        begun_until=Operation(kind="rename", path="state/.intent.json"),
    ),
    Story(
        name="approve_managed_proposal, one file is changed",
        given=_approve,
        begun_until=Operation(kind="rename", path="state/managed_state.json"),
    ),
    Story(
        name="expiry of a proposal, its intent is there",
        given=_expiry,
        begun_until=Operation(kind="rename", path="state/baseline_holdings.json"),
    ),
)
