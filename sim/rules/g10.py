"""The eight stop rules of G10-3c. Source: contract §10."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from sim.rules.breach import Breach, last, moment, table
from sim.timeline import Event, Timeline
from worker.guards.network import names_mainnet


def bot_pid_changes(timeline: Timeline) -> Sequence[Breach]:
    """Only a bot that the story started has a heartbeat, and it keeps its process until the story stops it."""
    started = {event.subject for event in timeline.of_kind("bot.started")}
    breaches = [
        Breach(
            rule="bot_pid_changes",
            actor=f"process {row['pid']}",
            subject=f"bot_statuses {row['id']}",
            before=f"bot started as {', '.join(sorted(started)) or 'nobody'}",
            after=f"a heartbeat of process {row['pid']}",
            at=moment(row["created_at"]),
        )
        for row in table(timeline, "bot_statuses")
        if str(row["pid"]) not in started
    ]
    stopped = {event.subject for event in timeline.of_kind("bot.stopped")}
    at_end = last(timeline, "processes.at_end")
    alive = set(at_end.detail["bots"]) if at_end is not None else set()
    breaches += [
        Breach(
            rule="bot_pid_changes",
            actor="somebody",
            subject=f"bot process {pid}",
            before="running",
            after="gone, and the story did not stop it",
        )
        for pid in sorted(started - stopped - {str(pid) for pid in alive})
    ]
    return breaches


def portfolio_drift_unexplained(timeline: Timeline) -> Sequence[Breach]:
    """The bot's journal explains how the portfolio changed and ended; nobody else touches what the bot writes."""
    started = {event.subject for event in timeline.of_kind("bot.started")}
    breaches = []
    for event in timeline.of_kind("portfolio.read"):
        found = event.detail
        told = [
            f"{event.subject} became {found['after'] or 'absent'}{why}"
            for is_explained, why in (
                (found["explained"], ", which the journal does not lead to"),
                (found["end_explained"], ", which is not what the journal says was written last"),
            )
            if not is_explained
        ]
        told += [
            f"a journal line of process {pid}, which is no bot of the story"
            for pid in found["journal_pids"]
            if str(pid) not in started
        ]
        told += [
            f"{touch['path']}: {touch['what']} by {touch['actor']} at {touch['source'] or 'an unnamed line'}"
            for touch in found["touched_by_others"]
        ]
        if told:
            others = [touch["actor"] for touch in found["touched_by_others"]]
            breaches.append(
                Breach(
                    rule="portfolio_drift_unexplained",
                    actor=others[0] if others else found["last_writer"],
                    subject=event.subject,
                    before=str(found["before"]),
                    after="; ".join([*told[:3], *([found["problem"]] if found["problem"] else [])]),
                )
            )
    return breaches


def runtime_config_appears(timeline: Timeline) -> Sequence[Breach]:
    """`runtime_config.json` never comes into being, not even for a moment."""
    return _touched(timeline, "runtime_config_appears", "runtime_config.json")


def env_file_changes(timeline: Timeline) -> Sequence[Breach]:
    """Content and times of `.env` stay as they are."""
    return _touched(timeline, "env_file_changes", ".env")


def once_handled_more_than_one(timeline: Timeline) -> Sequence[Breach]:
    """A worker run with `--once` handles at most one command, and each command is begun under the name of a run."""
    runs = timeline.of_kind("worker.run")
    started = [
        row for row in table(timeline, "command_audit_log") if row["event_type"] in ("started", "lease_taken_over")
    ]
    breaches = []
    for place, run in enumerate(runs):
        later = [other for other in runs[place + 1 :] if other.subject == run.subject]
        all_started = sum(1 for row in started if row["worker_id"] == run.subject)
        handled = (later[0].detail["handled_before"] if later else all_started) - run.detail["handled_before"]
        if "--once" in run.detail["argv"] and handled > 1:
            breaches.append(
                _too_many(run.actor, f"run {run.ordinal} with --once", "at most 1 command", handled, run.at)
            )
    # A worker that writes another name than its own would else begin as many as it likes.
    names = {run.subject for run in runs}
    nameless = [row for row in started if row["worker_id"] not in names]
    if nameless:
        told = ", ".join(sorted({str(row["worker_id"]) for row in nameless}))
        breaches.append(
            _too_many(
                told,
                "a worker id of no run",
                f"one of {sorted(names)}",
                len(nameless),
                moment(nameless[0]["created_at"]),
            )
        )
    if not breaches and runs and all("--once" in run.detail["argv"] for run in runs) and len(started) > len(runs):
        breaches.append(
            _too_many("workers", "all runs with --once", f"at most {len(runs)} commands", len(started), runs[-1].at)
        )
    return breaches


def _too_many(actor: str, subject: str, before: str, handled: int, at: datetime | None) -> Breach:
    return Breach(
        rule="once_handled_more_than_one",
        actor=actor,
        subject=subject,
        before=before,
        after=f"{handled} commands",
        at=at,
    )


def unexpected_failure_reason(timeline: Timeline) -> Sequence[Breach]:
    """Every command that failed did so with a reason the story expects, and every expected reason occurred."""
    expected = {event.subject for event in timeline.of_kind("scenario.expects")}
    failed = [row for row in table(timeline, "commands") if row["status"] == "failed"]
    breaches = [
        Breach(
            rule="unexpected_failure_reason",
            actor=str(row["worker_id"]),
            subject=f"command {row['command_id']} ({row['command_type']})",
            before=f"expected {', '.join(sorted(expected)) or 'no failure'}",
            after=f"failed: {row['error_message']}",
            at=moment(row["finished_at"]),
        )
        for row in failed
        if _reason_of(row) not in expected
    ]
    never = expected - {_reason_of(row) for row in failed}
    return breaches + [
        Breach(
            rule="unexpected_failure_reason",
            actor="scenario",
            subject=reason,
            before="expected to occur",
            after="no command failed with it",
        )
        for reason in sorted(never)
    ]


def order_or_exchange_call_from_worker(timeline: Timeline) -> Sequence[Breach]:
    """A worker, and a service, reaches for nothing but Postgres, and a worker starts no program that could."""
    started = [
        Breach(
            rule="order_or_exchange_call_from_worker",
            actor=event.actor,
            subject=event.subject,
            before="no program started by workers",
            after=f"started at {event.detail['source'] or 'an unnamed line'}",
            at=event.at,
        )
        for event in timeline.of_kind("process.spawned")
        if event.actor.startswith("worker:")
    ]
    return started + [
        Breach(
            rule="order_or_exchange_call_from_worker",
            actor=event.actor,
            subject=event.subject,
            before="connections to Postgres only",
            after=f"{event.detail['what']} from {event.detail['source'] or 'an unnamed line'}",
            at=event.at,
        )
        for event in timeline.of_kind("network.attempt")
        if not event.detail["allowed"] and event.actor.partition(":")[0] in ("worker", "operator")
    ]


# A story that is played again and again shows the same texts; looking into each took a third of a judgement.
_first_mainnet_host = lru_cache(maxsize=2048)(names_mainnet)


def mainnet_path_visible(timeline: Timeline) -> Sequence[Breach]:
    """No setting, file, payload, trail or output names a production host of the exchange, and each can be read."""
    texts = timeline.of_kind("text.seen", "output.read")
    told = [
        (event, "a text that can be read whole", f"{event.detail['bytes']} bytes, too many to be read")
        for event in timeline.of_kind("text.unread")
    ]
    told += [
        (event, "testnet and loopback hosts only", f"names {host}")
        for event in texts
        if (host := _first_mainnet_host(event.detail["text"])) is not None
    ]
    return [
        Breach(rule="mainnet_path_visible", actor=actor, subject=event.subject, before=before, after=after, at=event.at)
        for event, before, after in told
        for actor in _writers(timeline, event)
    ]


def _writers(timeline: Timeline, event: Event) -> list[str]:
    """Whose text it is: of a stream the process that printed it, of a file all who opened or renamed it, in order.

    Of anything else it is who told of it.
    """
    if event.kind == "output.read":
        return [event.subject.partition(" of ")[2] or event.actor]
    audited = [one.actor for one in timeline.of_kind("file.audited") if one.subject == event.subject]
    return list(dict.fromkeys(audited)) or [event.actor]


def _touched(timeline: Timeline, rule: str, path: str) -> list[Breach]:
    """Whatever any sensor says was done to `path`, a lasting change or not: a breach for each who did it."""
    audited, changed, watched = (
        [event for event in timeline.of_kind(kind) if event.subject == path]
        for kind in ("file.audited", "file.changed", "file.watched")
    )
    before, after = _fate(audited, changed, watched)
    firsts: dict[str, Event] = {}
    for event in audited or changed or watched:
        firsts.setdefault(event.actor, event)
    return [
        Breach(
            rule=rule,
            actor=f"{actor} at {first.detail['source']}" if "source" in first.detail else actor,
            subject=path,
            before=before,
            after=after,
            at=first.at,
        )
        for actor, first in firsts.items()
    ]


def _fate(audited: Sequence[Event], changed: Sequence[Event], watched: Sequence[Event]) -> tuple[str, str]:
    """What a file was and what became of it, by the comparison of before and after where that shows a change."""
    if changed:
        return str(changed[0].detail["before"]), str(changed[0].detail["after"])
    seen = [str(event.detail["what"]) for event in watched or audited]
    if {"created", "deleted"} <= set(", ".join(seen).split(", ")):
        return "absent", "created and removed again"
    return "untouched", "; ".join(dict.fromkeys(seen))


def _reason_of(row: dict[str, object]) -> str:
    result = row["result_json"]
    if isinstance(result, dict) and "reason" in result:
        return str(result["reason"])
    return str(row["error_message"]).split(":", 1)[0]
