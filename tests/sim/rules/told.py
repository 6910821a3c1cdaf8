"""What a timeline tells, as the cases of the rules need it: rows, runs, clicks, files; each sound unless changed."""

from collections.abc import Callable, Sequence
from typing import Any

from sim.timeline import Timeline

COMMAND = "6a2f41a3-c54c-4c1c-8f1c-3c1a4a0e0001"
AT = "2026-05-12T09:00:00+00:00"


def command(**changed: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "command_id": COMMAND,
        "command_type": "apply_profile_testnet",
        "subject": "b4033597-0f90-4c6a-9b55-2a31648f10d5",
        "status": "succeeded",
        "environment": "testnet",
        "payload": {"environment": "testnet"},
        "idempotency_key": "k",
        "attempts": 1,
        "worker_id": "w1",
        "result_json": {"ok": True},
        "error_message": None,
        "created_at": AT,
        "finished_at": AT,
        **changed,
    }


def log(*steps: tuple[str, str | None, str | None]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "command_id": COMMAND,
            "event_type": event,
            "status_from": before,
            "status_to": after,
            "worker_id": "w1",
            "detail": None,
            "created_at": AT,
        }
        for number, (event, before, after) in enumerate(steps, start=1)
    ]


STARTED = ("started", "claimed", "running")
DRY_STARTED = ("apply_profile_testnet.dry_run_started", "running", "running")
DRY_SUCCEEDED = ("apply_profile_testnet.dry_run_succeeded", "running", "running")
WRITTEN = ("result_written", "running", "succeeded")
FAILED = ("result_written", "running", "failed")
EXPIRED = ("expired", "pending", "expired")
DRY_REJECTED = ("apply_profile_testnet.dry_run_rejected", "running", "running")
GOOD_LOG = log(STARTED, DRY_STARTED, DRY_SUCCEEDED, WRITTEN)


def audit(**changed: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "event_type": "profile.apply.dry_run_requested",
        "user_id": 23,
        "command_id": COMMAND,
        "metadata": {"profile_version": 1},
        "created_at": AT,
        **changed,
    }


def tables(timeline: Timeline, **rows: list[dict[str, Any]]) -> None:
    for name, found in rows.items():
        timeline.record(actor="witness", kind="table.read", subject=name, rows=found)


def trail(timeline: Timeline, **changed: list[dict[str, Any]]) -> None:
    tables(
        timeline,
        **{"commands": [command()], "command_audit_log": GOOD_LOG, "audit_events": [audit()], **changed},
    )


def heartbeat(pid: int) -> Callable[[Timeline], None]:
    def tell(timeline: Timeline) -> None:
        timeline.record(actor="bot", kind="bot.started", subject="100")
        timeline.record(actor="witness", kind="processes.at_end", subject="processes", workers=[], bots=[100])
        tables(timeline, bot_statuses=[{"id": 1, "pid": pid, "created_at": AT}])

    return tell


def bot_at_end(bots: list[int]) -> Callable[[Timeline], None]:
    def tell(timeline: Timeline) -> None:
        timeline.record(actor="bot", kind="bot.started", subject="100")
        timeline.record(actor="witness", kind="processes.at_end", subject="processes", workers=[], bots=bots)

    return tell


def one(actor: str, kind: str, subject: str, **detail: Any) -> Callable[[Timeline], None]:
    def tell(timeline: Timeline) -> None:
        timeline.record(actor=actor, kind=kind, subject=subject, **detail)

    return tell


def with_trail(**changed: list[dict[str, Any]]) -> Callable[[Timeline], None]:
    return lambda timeline: trail(timeline, **changed)


def malformed(*steps: tuple[str, str | None, str | None]) -> Callable[[Timeline], None]:
    row = command(status="failed", result_json={"ok": False, "reason": "validation/payload_malformed"})
    return with_trail(commands=[row], command_audit_log=log(*steps))


def once_run(
    handled: int, *, worker_ids: Sequence[str | None] = ("w1",), runs: Sequence[str] = ("w1",), argv: str = "--once"
) -> Callable[[Timeline], None]:
    """Runs of these workers, and a log in which `handled` commands are begun under each of `worker_ids`."""

    def tell(timeline: Timeline) -> None:
        for name in runs:
            timeline.record(actor=f"worker:{name}", kind="worker.run", subject=name, argv=[argv], handled_before=0)
        begun = [{**row, "worker_id": name} for name in worker_ids for row in log(*[STARTED] * handled)]
        tables(timeline, command_audit_log=begun)

    return tell


def failed_with(reason: str, expected: list[str]) -> Callable[[Timeline], None]:
    def tell(timeline: Timeline) -> None:
        for name in expected:
            timeline.record(actor="scenario", kind="scenario.expects", subject=name)
        row = command(status="failed", result_json={"ok": False, "reason": reason}, error_message=f"{reason}: no")
        tables(timeline, commands=[row])

    return tell


def two_clicks(first: str, second: str) -> Callable[[Timeline], None]:
    def tell(timeline: Timeline) -> None:
        for made in (first, second):
            timeline.record(
                actor="operator:day", kind="operator.clicked", subject="x", created=True, key="k", command_id=made
            )

    return tell


def at_rest(
    *, left: Sequence[str] = (), commands: list[dict[str, Any]] | None = None, **changed: Any
) -> Callable[[Timeline], None]:
    held = {"BTC": ["0.5", True]}
    detail = {
        "baseline": held,
        "cache": held,
        "generations": [1, 1],
        "leftovers": [],
        "damaged": {},
        **changed,
    }

    def tell(timeline: Timeline) -> None:
        for path in left:
            timeline.record(actor="scenario", kind="scenario.leaves", subject=path)
        tables(timeline, commands=commands or [])
        timeline.record(actor="witness", kind="home.at_rest", subject="state/", **detail)

    return tell


BASELINE = "apply_baseline_holdings"
UNTOUCHED: dict[str, Any] = {"command_audit_log": [], "commands": [command(status="pending", attempts=0)]}
INTENT = "state/.intent.json"
MANAGED_STATE = "state/managed_state.json"
TORN: dict[str, Any] = {"generations": [1, None], "damaged": {MANAGED_STATE: "io/damaged_file: cut short"}}


def portfolio(**changed: Any) -> Callable[[Timeline], None]:
    detail = {
        "before": "a",
        "after": "b",
        "explained": True,
        "end_explained": True,
        "journal_pids": [100],
        "touched_by_others": [],
        "problem": None,
        "last_writer": "bot",
        **changed,
    }

    def tell(timeline: Timeline) -> None:
        timeline.record(actor="bot", kind="bot.started", subject="100")
        timeline.record(actor="witness", kind="portfolio.read", subject="live_portfolio.json", **detail)

    return tell
