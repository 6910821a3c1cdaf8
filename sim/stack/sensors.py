"""Which sensors were blind in a story: told on the timeline and at the end of the run, never passed over."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from sim.errors import SimError
from sim.timeline import Timeline
from sim.witness.audit import AuditEvent
from sim.witness.calls import Calls
from sim.witness.watch import Watch, open_watch
from sim.witness.watch_event import WatchKind

BLIND = "sensor.blind"
"""The kind of event; its subject names the sensor, its detail says of whom and why."""

_WITNESS, _BOT = "witness", "bot"
_PROFILED = "a profiler of C code has the interpreter's one hook; run without it"
_HOOK, _CONNECTIONS, _WATCH, _CALLS = "audit hook", "connections", "watch of the home", "calls of services"


def read_sensors(timeline: Timeline, said: Iterable[AuditEvent]) -> None:
    """Effects: a `sensor.blind` event for each process that was not watched as it should have been.

    A worker says that it is listened to and confined, a bot that its calls of services are seen.
    """
    events = list(said)
    _read_bots(timeline, events)
    listened = {(event.pid, event.actor) for event in events if event.what == "sensor.installed"}
    confined = {(event.pid, event.actor): event.detail for event in events if event.what == "landlock.restricted"}
    for event in timeline.of_kind("process.started"):
        if not event.actor.startswith("worker:"):
            continue
        if event.detail.get("environment", {}).get("SIM_WITNESS_LOG") == "":
            _blind(timeline, _HOOK, event.actor, "the story switched its log off")
            continue
        process = (int(event.subject), event.actor)
        if process not in listened:
            _blind(
                timeline, _HOOK, event.actor, "it is no Python that loads the sensor: nothing it does is told by itself"
            )
        open_because = _open_because(confined.get(process))
        if open_because is not None:
            _blind(timeline, _CONNECTIONS, event.actor, f"what C code connects to goes unseen: {open_because}")


def _read_bots(timeline: Timeline, events: Iterable[AuditEvent]) -> None:
    watched: set[tuple[int, str]] = set()
    for event in events:
        if event.what == "services.watched":
            watched.add((event.pid, event.actor))
        elif event.what == "service.transactions" and event.detail["is_blind"]:
            _blind(timeline, _CALLS, event.actor, _PROFILED)
    # One that was killed before its first cycle has called nothing, and may not have come to say anything.
    for pid in dict.fromkeys(int(cycled.subject) for cycled in timeline.of_kind("bot.cycled")):
        if (pid, _BOT) not in watched:
            _blind(timeline, _CALLS, _BOT, "it never said that it is watched")


def told_calls(timeline: Timeline, calls: Calls, *, actor: str, button: str) -> None:
    """Effects: a `service.called` event for each call that a click made where it may not; `sensor.blind` if unseen."""
    for place in calls.seen:
        timeline.record(actor=actor, kind="service.called", subject=place, button=button)
    if calls.is_blind:
        _blind(timeline, _CALLS, actor, _PROFILED)


def open_home_watch(home: Path, timeline: Timeline) -> Watch:
    """The watch over the home for a whole story, which names no process.

    fanotify would, but marks the file system: each story's queue would hold the events of all that run beside it.
    Effects: as `accepted`. Raises: as `accepted`.
    """
    return accepted(open_watch(home, WatchKind.INOTIFY), home, timeline)


def accepted(watch: Watch, home: Path, timeline: Timeline, platform: str = sys.platform) -> Watch:
    """`watch`, if it sees anything or the platform has none. Effects: a `sensor.blind` event where it sees nothing.

    Raises: `SimError` (`witness/no_watch`) on Linux, where there always is a watch unless its limits are used up.
    """
    if watch.kind is not WatchKind.NONE:
        return watch
    if platform == "linux":
        watch.close()
        raise SimError(
            "witness/no_watch",
            f"expected a watch over {home}, found none ({watch.reason}); raise fs.inotify.max_user_instances and "
            "fs.inotify.max_user_watches, or run fewer tests at once",
        )
    _blind(timeline, _WATCH, _WITNESS, f"what comes and goes between two snapshots goes unseen: {watch.reason}")
    return watch


def blind_sensors(timeline: Timeline) -> list[str]:
    """What was blind in the story, one sentence each, without repetition."""
    told = (f"{event.subject} of {event.actor}: {event.detail['why']}" for event in timeline.of_kind(BLIND))
    return list(dict.fromkeys(told))


def _open_because(outcome: Mapping[str, object] | None) -> str | None:
    """Why the process may connect to anything; None where the kernel lets it reach the database alone."""
    if outcome is None:
        return "it never took on Landlock"
    missing = outcome["missing"]
    if outcome["enforced"] and isinstance(missing, list) and "network" not in missing:
        return None
    return str(outcome["reason"])


def _blind(timeline: Timeline, sensor: str, actor: str, why: str) -> None:
    timeline.record(actor=actor, kind=BLIND, subject=sensor, why=why)
