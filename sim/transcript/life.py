"""The life of an asset: from a frozen holding to managed and back, printed step by step.

Each step is one click through a real service and one real worker process; between them the stage looks from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sim.clock import minutes, seconds
from sim.errors import SimError
from sim.stack.managed_views import ProposalView
from sim.stack.operator_actor import Operator
from sim.stack.stack import Stack
from sim.transcript.page import Line, Page, columns_of, document_lines, file_lines, row_lines, value_text
from sim.transcript.seen import Row, Seen, look
from worker.contracts.states import CommandStatus
from worker.services.submission import CreatedCommand

ASSET = "ETH"
RECORDED = {"BTC": "0.5", ASSET: "2"}
HELD_BY_THE_BOT = {ASSET: "1.75"}
BASELINE_FILE, MANAGED_FILE = TWO_FILES = ("state/baseline_holdings.json", "state/managed_state.json")
WORKER = "w1"
WORKER_COMES_AFTER = seconds(5)

_ABOUT = (
    "# The life of an asset",
    "",
    "ETH goes from a frozen holding to a managed one and back: request, proposal, approval, pause, resume, release.",
    "`sim life-of-an-asset` played this on a real Postgres, with the real services and one real worker process per",
    "step, and printed what it read from outside before and after each. All on 2026-05-12, in UTC and virtual time.",
    "",
    "`+` came into being, `→` is before and after. What is not shown did not change, the column `updated_at` aside.",
    "Ids are new in each run, so names stand for them: `<pause>` is the command of the pause. `state/.lock` and",
    "`logs/command_worker.pid` hold the worker's process id.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One click, `after` the beginning; `name` names its command, `words` say what was clicked."""

    name: str
    title: str
    after: timedelta
    operator: Operator
    words: str
    press: Callable[[], CreatedCommand]


def print_life(stack: Stack, say: Callable[[str], None]) -> None:
    """Effects: the story is played on `stack` and told, line by line.

    Raises: `SimError` (`transcript/step_failed`) where a command did not succeed; `StackError` where a service refuses.
    """
    page = Page(say)
    page.prose(*_ABOUT)
    _begin(stack, page)
    day, night = stack.operator("day"), stack.operator("night")
    began = stack.clock.now()
    request = _Step(
        name="request",
        title="A proposal is asked for",
        after=minutes(1),
        operator=day,
        words=f'request {ASSET}, intent "Let it work."',
        press=lambda: day.request(ASSET, intent="Let it work."),
    )
    stack.clock.freeze_at(began + request.after)
    proposal = stack.proposal(_play(stack, page, request))
    _tell_proposal(page, proposal.document or {})
    for step in _after_the_proposal(day, night, proposal):
        stack.clock.freeze_at(began + step.after)
        _play(stack, page, step)
    _tell_trail(stack, page)


def _after_the_proposal(day: Operator, night: Operator, proposal: ProposalView) -> tuple[_Step, ...]:
    return (
        _Step(
            name="approve",
            title="Another operator approves it",
            after=minutes(6),
            operator=night,
            words=f'approve <proposal>, variant balanced, typed "{ASSET}:balanced"',
            press=lambda: night.approve(proposal, "balanced", hard_confirm=f"{ASSET}:balanced"),
        ),
        _Step(
            name="pause",
            title="It is paused",
            after=minutes(16),
            operator=day,
            words=f"pause {ASSET}",
            press=lambda: day.pause(ASSET),
        ),
        _Step(
            name="resume",
            title="It is resumed",
            after=minutes(18),
            operator=day,
            words=f"resume {ASSET}",
            press=lambda: day.resume(ASSET),
        ),
        _Step(
            name="release",
            title="It is given back, frozen at what the bot holds",
            after=minutes(48),
            operator=night,
            words=f"release {ASSET}, strategy keep_frozen",
            press=lambda: night.release(ASSET, "keep_frozen"),
        ),
    )


def _begin(stack: Stack, page: Page) -> None:
    """Effects: the starting facts are there, and the asset is told as both files have it."""
    stack.given.reference_profile()
    stack.given.market()
    stack.given.portfolio(HELD_BY_THE_BOT)
    baseline = stack.given.applied_baseline(RECORDED)
    page.name(baseline.command_id, "baseline")
    seen = look(stack.home, stack.rows)
    page.prose(
        f"## {stack.clock.now():%H:%M} Where it begins",
        "",
        "A baseline has been applied and both its assets are frozen. By its portfolio the bot holds a little less ETH",
        "than is recorded: 1.75. One risk profile is active, and the bot has written its prices.",
    )
    holding = seen.document(BASELINE_FILE)["holdings"][ASSET]
    entry = seen.document(MANAGED_FILE)["assets"][ASSET]
    page.block(
        f"{ASSET} in the two files",
        [
            *(("baseline_holdings.json", f"  holdings.{ASSET}.{key}", value_text(holding[key])) for key in holding),
            *(("managed_state.json", f"  assets.{ASSET}.{key}", value_text(entry[key])) for key in entry),
        ],
    )


def _play(stack: Stack, page: Page, step: _Step) -> CreatedCommand:
    """The command that the step's click made. Effects: click and worker are told, each with what it changed.

    Raises: `SimError` (`transcript/step_failed`).
    """
    page.prose(f"## {stack.clock.now():%H:%M} {step.title}")
    before = look(stack.home, stack.rows)
    command = step.press()
    clicked = look(stack.home, stack.rows)
    _name(page, step.name, command, clicked)
    page.block(
        f"{stack.clock.now():%H:%M:%S}  {step.operator.name} (user {step.operator.user_id}) clicks: {step.words}",
        _changes(before, clicked),
    )
    stack.clock.advance(WORKER_COMES_AFTER)
    ended = stack.worker.run_once(WORKER)
    found = stack.command(command)
    page.block(
        f"{stack.clock.now():%H:%M:%S}  worker {WORKER} --once ended with exit code {ended.exit_code}",
        _changes(clicked, look(stack.home, stack.rows)),
    )
    if found.status is not CommandStatus.SUCCEEDED:
        raise SimError(
            "transcript/step_failed",
            f"expected the {step.name} to succeed, found it {found.status} ({found.error_message}) after a worker that "
            f"ended with exit code {ended.exit_code}",
        )
    return command


def _name(page: Page, name: str, command: CreatedCommand, seen: Seen) -> None:
    """Effects: the ids that the click made have names: its command, itself, and the proposal it asked for."""
    page.name(command.command_id, name)
    for row in seen.tables["audit_events"].values():
        if row["command_id"] == str(command.command_id):
            page.name(row["metadata"]["click_id"], f"{name} click")
    for proposal_id in seen.tables["managed_proposals"]:
        page.name(proposal_id, "proposal")


def _changes(before: Seen, after: Seen) -> list[Line]:
    """What is different, files first: they are the source of truth."""
    lines = [line for path in TWO_FILES for line in document_lines(before, after, path)]
    lines += file_lines(before, after, TWO_FILES)
    return [*(lines or [("no file changed", "", "")]), *row_lines(before, after)]


def _tell_proposal(page: Page, document: dict[str, Any]) -> None:
    until, score = page.named(document["expires_at"]), document["confidence"]["overall_score"]
    page.prose(
        f"The proposal can be decided until {until}. Its confidence is {score}; below 0.50 an approval would need an",
        "override. Its variants:",
    )
    columns = ("name", "allocation_pct", "stop_loss_pct", "take_profit_pct", "position_value_usdt", "risk_pct")
    page.table(columns, *(columns_of(variant, *columns) for variant in document["variants"]))


def _tell_trail(stack: Stack, page: Page) -> None:
    """Effects: the whole trail as the tables hold it at the end, oldest row first."""
    tables = look(stack.home, stack.rows).tables
    moves: list[Row] = [{**row["metadata_json"], **row} for row in tables["managed_assets_history"].values()]
    about = [row for row in tables["audit_events"].values() if row["command_id"] is not None]
    page.prose("## The whole trail", "", "What became of each command (`commands`):")
    _tell_rows(
        page,
        list(tables["commands"].values()),
        *("command_id", "command_type", "status", "attempts", "requested_by", "created_at", "finished_at"),
    )
    page.prose("What the worker did with it (`command_audit_log`):")
    log = list(tables["command_audit_log"].values())
    _tell_rows(page, log, "created_at", "command_id", "event_type", "status_from", "status_to", "worker_id")
    page.prose("How the asset moved (`managed_assets_history`; command and generation are in its metadata):")
    _tell_rows(page, moves, "ts", "asset", "state_from", "state_to", "actor", "command_id", "generation")
    page.prose("Who asked, and what came of it (`audit_events`):")
    _tell_rows(page, about, "created_at", "event_type", "user_id", "command_id")


def _tell_rows(page: Page, rows: list[Row], *columns: str) -> None:
    page.table(columns, *(columns_of(row, *columns) for row in rows))
