"""What a race must be, so that the hub can direct it; told before its first step, or before the one at fault."""

from collections.abc import Callable, Sequence

from sim.errors import SimError
from sim.schedule.gate import Report, Seat
from sim.schedule.greenlets import GreenletSeat
from sim.schedule.interleaving import MAX_WITHOUT_SIGNALS


def require_able(seats: Sequence[Seat], *, max_actors: int | None, signals: bool) -> None:
    """Nothing for actors that can be directed; `signals` says whether they reach the server's processes.

    Raises: `SimError` (`schedule/same_name`, `schedule/signals_needed`, `schedule/undeclared_actors`).
    """
    names = [seat.name for seat in seats]
    if len(set(names)) < len(names):
        raise SimError("schedule/same_name", f"every actor needs a name of its own, found {', '.join(names)}")
    may_wait = [seat.name for seat in seats if not (isinstance(seat, GreenletSeat) and seat.never_waits)]
    if len(may_wait) > MAX_WITHOUT_SIGNALS and not signals:
        raise SimError(
            "schedule/signals_needed",
            f"a race of {len(may_wait)} actors ({', '.join(may_wait)}) needs to stop the server's processes by "
            "signals, which do not reach this server: where two wait, who is served first would be no choice; play "
            "it with --postgres=embedded, or with two actors",
        )
    if max_actors is not None and len(may_wait) > max_actors:
        raise SimError(
            "schedule/undeclared_actors",
            f"expected at most {max_actors} actors, found {len(may_wait)} ({', '.join(may_wait)}); mark the "
            f"scenario @every_interleaving(actors={len(may_wait)}), so that a run on a server which signals do not "
            "reach can list it as not playable",
        )


def require_followed(report: Report, follow_schema: Callable[[], None] | None, *, remakes_tables: bool) -> None:
    """Effects: whoever follows the schema is told that the step to come adds to it, or drops what can be made again.

    Raises: `SimError` (`schedule/schema_changes`) for a step after which nobody can go back.
    """
    can_go_back = report.adds_to_schema or (report.drops_tables and remakes_tables)
    if follow_schema is not None and can_go_back:
        follow_schema()
        return
    raise SimError(
        "schedule/schema_changes",
        f"the step {str(report.next)!r} changes the schema, and a race goes back to rows, and where it is played on a "
        "stack from tables that were added, and to those of our migrations that were dropped, but from nothing else: "
        "change it before the race, or play against it once, outside a race, on a database of its own",
    )
