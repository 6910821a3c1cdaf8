"""Rules that hold in every scenario beside the named stop rules. Source: contract §3, §4, §6, §10."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.rules.breach import Breach, changes_files_now, last, moment, table
from sim.timeline import Timeline
from worker.contracts.commands import spec_for
from worker.contracts.states import COMMAND_MOVES, CommandStatus
from worker.guards.secrets import secret_problems

_DRY_RUNS = ("apply_profile_testnet", "dry_run_promote_managed")
_INTENT = "state/.intent.json"
_TRAIL = (
    ("audit_events", "metadata"),
    ("command_audit_log", "detail"),
    ("commands", "result_json"),
    ("commands", "error_message"),
)
_CHECKOUT = str(Path(__file__).parents[2])
"""Where the program lies is no secret, but a folder with an odd name may look like one in a traceback."""

_ENVELOPE_REASONS = (
    "validation/payload_not_object",
    "validation/payload_too_large",
    "validation/handler_not_available",
)
_ENVELOPE_OR_CONFIG = "validation/payload_malformed"
"""A payload that is no JSON ends before its handler; a stored config that is none ends in it."""


def command_without_requested_event(timeline: Timeline) -> Sequence[Breach]:
    """Every command has its `…_requested` audit event, and every such event its command."""
    deleted = {event.subject for event in timeline.of_kind("bus.deleted")}
    commands = {row["command_id"]: row for row in table(timeline, "commands")}
    events = table(timeline, "audit_events")
    requested = {
        row["command_id"]: row for row in events if row["command_id"] and row["event_type"].endswith("requested")
    }
    breaches = [
        Breach(
            rule="command_without_requested_event",
            actor="a service",
            subject=f"command {command_id} ({row['command_type']})",
            before=f"expected {_requested_event(row)}",
            after=f"found {requested[command_id]['event_type'] if command_id in requested else 'no event'}",
            at=moment(row["created_at"]),
        )
        for command_id, row in commands.items()
        if command_id not in requested or not _is_request_for(row, requested[command_id]["event_type"])
    ]
    return breaches + [
        Breach(
            rule="command_without_requested_event",
            actor="a service",
            subject=f"audit event {row['id']} ({row['event_type']})",
            before=f"expected command {command_id}",
            after="found no such command",
            at=moment(row["created_at"]),
        )
        for command_id, row in requested.items()
        if command_id not in commands and command_id not in deleted
    ]


def illegal_status_move(timeline: Timeline) -> Sequence[Breach]:
    """The log of each command, an empty one too, is a chain of allowed moves that ends in the command's status."""
    logs = _logs(timeline)
    statuses = {row["command_id"]: row["status"] for row in table(timeline, "commands")}
    breaches: list[Breach] = []
    for command_id in {**statuses, **logs}:
        rows = logs.get(command_id, [])
        illegal, status = _walked(command_id, rows)
        breaches += illegal
        if status is None or command_id not in statuses:
            continue
        found = _known(statuses[command_id])
        # A claim leaves no row.
        is_claimed_since = status is CommandStatus.PENDING and found is CommandStatus.CLAIMED
        if found is not status and not is_claimed_since:
            row = rows[-1] if rows else None
            breaches.append(_move(command_id, row, f"the log ends in {status}", f"the row says {statuses[command_id]}"))
    return breaches


def dry_run_row_count(timeline: Timeline) -> Sequence[Breach]:
    """A finished dry run leaves exactly four log rows, refused ones too; a broken envelope or unknown type two."""
    breaches = []
    for row in table(timeline, "commands"):
        if row["status"] not in ("succeeded", "failed"):
            continue
        log = [entry["event_type"] for entry in _logs(timeline).get(row["command_id"], [])]
        result = row["result_json"] if isinstance(row["result_json"], dict) else {}
        reason = result.get("reason")
        ending = "dry_run_succeeded" if row["status"] == "succeeded" else "dry_run_rejected"
        two = ["started", "result_written"]
        name = row["command_type"]
        four = ["started", f"{name}.dry_run_started", f"{name}.{ending}", "result_written"]
        if reason in _ENVELOPE_REASONS or spec_for(row["command_type"]) is None:
            wanted = [two]
        elif name in _DRY_RUNS and reason == _ENVELOPE_OR_CONFIG:
            wanted = [two, four]
        elif name in _DRY_RUNS and reason != "recovery/attempts_exhausted":
            wanted = [four]
        elif reason == _ENVELOPE_OR_CONFIG:
            wanted = [two]
        else:
            continue
        if _last_attempt(log) not in wanted:
            breaches.append(
                Breach(
                    rule="dry_run_row_count",
                    actor=str(row["worker_id"]),
                    subject=f"command {row['command_id']} ({row['command_type']})",
                    before="expected " + " or ".join(", ".join(names) for names in wanted),
                    after=f"found {', '.join(log) or 'no row'}",
                    at=moment(row["finished_at"]),
                )
            )
    return breaches


def two_winners_for_one_decision(timeline: Timeline) -> Sequence[Breach]:
    """One click, one decision: an idempotency key has one command and one request event, however often it was sent."""
    clicked: dict[str, set[str]] = {}
    for event in timeline.of_kind("operator.clicked"):
        if event.detail["created"] and event.detail["key"] is not None:
            clicked.setdefault(event.detail["key"], set()).add(event.detail["command_id"])
    breaches = [
        Breach(
            rule="two_winners_for_one_decision",
            actor="operator",
            subject=f"idempotency key {click}",
            before="one command",
            after=f"commands {', '.join(sorted(commands))}",
        )
        for click, commands in clicked.items()
        if len(commands) > 1
    ]
    counted: dict[tuple[str, str, str], int] = {}
    for row in table(timeline, "command_audit_log"):
        if row["event_type"] == "result_written":
            place = ("workers", row["command_id"], "result")
            counted[place] = counted.get(place, 0) + 1
    for row in table(timeline, "audit_events"):
        if row["command_id"] and row["event_type"].endswith("requested"):
            place = ("a service", row["command_id"], "request event")
            counted[place] = counted.get(place, 0) + 1
    return breaches + [
        Breach(
            rule="two_winners_for_one_decision",
            actor=actor,
            subject=f"command {command_id}",
            before=f"one {what}",
            after=f"{count} {what}s",
        )
        for (actor, command_id, what), count in counted.items()
        if count > 1
    ]


def cache_disagrees_with_files(timeline: Timeline) -> Sequence[Breach]:
    """At rest the baseline cache holds what the file holds, both files are one generation, and nothing is half done."""
    rest = last(timeline, "home.at_rest")
    if rest is None:
        return []
    left = {event.subject for event in timeline.of_kind("scenario.leaves")}
    damaged = rest.detail["damaged"]
    breaches = [_rest_breach(path, "a file that can be read", damaged[path]) for path in damaged if path not in left]
    file, cache = rest.detail["baseline"], rest.detail["cache"]
    generations, leftovers = rest.detail["generations"], rest.detail["leftovers"]
    is_under_way = any(changes_files_now(row) for row in table(timeline, "commands"))
    # While a command holds an intent, or is to be begun again, the files may be between two generations.
    is_between = _INTENT in left or (is_under_way and _INTENT in leftovers)
    if damaged or is_between:
        return breaches
    if not is_under_way and file != cache:
        breaches.append(_rest_breach("baseline_holdings", f"the file holds {file}", f"the cache holds {cache}"))
    if generations[0] != generations[1]:
        breaches.append(_rest_breach("state/", "one generation", f"generations {generations}"))
    undeclared = [path for path in leftovers if path not in left]
    if not is_under_way and undeclared:
        breaches.append(_rest_breach("state/", "no temporary file, no intent", ", ".join(undeclared)))
    return breaches


def worker_left_running(timeline: Timeline) -> Sequence[Breach]:
    """No worker process outlives the story."""
    at_end = last(timeline, "processes.at_end")
    return [
        Breach(
            rule="worker_left_running",
            actor=name,
            subject="worker process",
            before="ended with the story",
            after="still running",
        )
        for name in (at_end.detail["workers"] if at_end is not None else [])
    ]


def service_writes_state_files(timeline: Timeline) -> Sequence[Breach]:
    """SR-1: a service touches no file of the home."""
    return [
        Breach(
            rule="service_writes_state_files",
            actor=event.actor,
            subject=event.subject,
            before="untouched by services",
            after=f"{event.detail['what']} at {event.detail['source']}",
            at=event.at,
        )
        for event in timeline.of_kind("file.audited")
        if event.actor.startswith("operator:")
    ]


def service_starts_worker(timeline: Timeline) -> Sequence[Breach]:
    """SR-2: a service starts no process, and no thread, which a worker could run in just as well."""
    return [
        Breach(
            rule="service_starts_worker",
            actor=event.actor,
            subject=event.subject,
            before="neither process nor thread started by services",
            after=f"started at {event.detail['source']}",
            at=event.at,
        )
        for event in timeline.of_kind("process.spawned", "process.forked", "thread.started")
        if event.actor.startswith("operator:")
    ]


def secret_in_the_trail(timeline: Timeline) -> Sequence[Breach]:
    """No token, key, password or DSN reaches the database's trail, a process's log or a file of the home."""
    breaches = []
    for name, column in _TRAIL:
        for row in table(timeline, name):
            places = secret_problems({column: row[column]})
            if places:
                breaches.append(_secret(f"{name} {row['id']}", places))
    logs = [(f"log of {event.actor}", event.detail["stderr"]) for event in timeline.of_kind("process.ended")]
    logs += [
        (event.subject, event.detail["text"])
        for event in timeline.of_kind("output.read")
        if event.subject.startswith("stderr of ")
    ]
    for subject, text in logs:
        places = secret_problems({"stderr": text.replace(_CHECKOUT, "<checkout>")})
        if places:
            breaches.append(_secret(subject, places))
    # The run's own secrets are searched for letter by letter: a scrubber at fault would not find what it let pass.
    return breaches + [
        _secret(f"{event.subject} ({event.actor})", ["a secret of this run, as it is"])
        for event in timeline.of_kind("secret.seen")
    ]


def _secret(subject: str, places: Sequence[str]) -> Breach:
    return Breach(
        rule="secret_in_the_trail", actor="scrubber", subject=subject, before="no secret", after="; ".join(places[:3])
    )


def _requested_event(row: dict[str, Any]) -> str:
    spec = spec_for(row["command_type"])
    return "any request event" if spec is None else spec.requested_event


def _is_request_for(command: dict[str, Any], event_type: str) -> bool:
    spec = spec_for(command["command_type"])
    return spec is None or event_type == spec.requested_event


def _logs(timeline: Timeline) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table(timeline, "command_audit_log"):
        found.setdefault(row["command_id"], []).append(row)
    return found


def _last_attempt(log: list[str]) -> list[str]:
    """The rows since the command was last begun; earlier attempts that were put back are not counted."""
    begun = max((place for place, name in enumerate(log) if name == "started"), default=0)
    return log[begun:]


def _walked(command_id: str, rows: Sequence[dict[str, Any]]) -> tuple[list[Breach], CommandStatus | None]:
    """What is illegal in a log, and the status it ends in; None where a row names a status that there is not."""
    breaches: list[Breach] = []
    status = CommandStatus.PENDING
    for row in rows:
        before, after = _known(row["status_from"]), _known(row["status_to"])
        if before is None or after is None:
            told = f"{row['status_from']} to {row['status_to']}"
            return [*breaches, _move(command_id, row, "a move from one status to another", told)], None
        # A claim leaves no row, so a step may begin one move later than the one before it ended.
        claimed = status is CommandStatus.PENDING and before is CommandStatus.CLAIMED
        stays = before is after is CommandStatus.RUNNING
        if (before is not status and not claimed) or not (stays or (before, after) in COMMAND_MOVES):
            breaches.append(_move(command_id, row, f"{status} before", f"{before} to {after}"))
        status = after
    return breaches, status


def _known(status: object) -> CommandStatus | None:
    """The status of that name, None where there is no such status, or none at all."""
    return next((known for known in CommandStatus if known.value == status), None)


def _move(command_id: str, row: dict[str, Any] | None, before: str, after: str) -> Breach:
    place = "empty log" if row is None else f"log row {row['id']} ({row['event_type']})"
    return Breach(
        rule="illegal_status_move",
        actor="a worker" if row is None else str(row["worker_id"]),
        subject=f"command {command_id}, {place}",
        before=before,
        after=after,
        at=None if row is None else moment(row["created_at"]),
    )


def _rest_breach(subject: str, before: str, after: str) -> Breach:
    return Breach(rule="cache_disagrees_with_files", actor="worker", subject=subject, before=before, after=after)
