"""The power cut of the true worker: what it leaves, what its token repeats, and whom it refuses to strike."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.postgres.leases import LeasePool
from sim.schedule.choice import Choice, Kind, Option, Schedule, read_choice
from sim.schedule.crash_explorer import Crashes, CrashExplorer, tell_crashes
from sim.schedule.crashing import POWER_CUTS, every_power_cut, keeps_names_in_order, require_every_order, struck_by
from sim.schedule.explorer import replay
from sim.schedule.files import Files
from sim.schedule.gate import Trace
from sim.schedule.retelling import retell, tell_retold
from sim.schedule.sessions import Sessions
from sim.schedule.token import read_token
from sim.stack.given import REFERENCE_PROFILE
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack, open_stack
from tests.sim.kill_points.killing import LazyZygote
from worker.contracts.states import CommandStatus

SCENARIO = "tests/sim/schedule/test_power_cuts.py::a_baseline"
WORKER_PID = "logs/command_worker.pid"
TEMP = "w1:{}:state/.baseline_holdings.json.*-1.worker-tmp"
ALL_TABLES = (
    "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1"
)
Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def rehearse(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path) -> Iterator[Rehearse]:
    with (
        lease_pool.acquire() as lease,
        Sessions(lease.address, signals=lease_pool.server.supports_signals) as sessions,
        open_stack(lease, tmp_path, zygote=zygote.get, connect=sessions.connect) as stack,
    ):
        yield lambda body, **named: Rehearsal(stack, sessions, body, struck_by=POWER_CUTS, **named)


def a_baseline(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.25"})
    with stack.race() as race:
        race.worker("w1")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def explored(rehearsal: Rehearsal) -> Crashes:
    return CrashExplorer(rehearsal, SCENARIO, alike=rehearsal.strikes.alike).explore()


def offered(trace: Trace, step: str) -> list[Option]:
    """The power cuts that were possible where `step` was due."""
    (taken,) = (one for one in trace.taken if str(one.step).replace("%2A", "*") == step)
    return [option for option in taken.options if option.kind is Kind.POWER]


def test_every_disk_of_every_step_is_tried_or_is_as_one_that_is(rehearse: Rehearse) -> None:
    rehearsal = rehearse(a_baseline)
    found, whole = explored(rehearsal), replay(rehearsal, Schedule())

    possible = [option for taken in whole.taken for option in taken.options if option.kind is Kind.POWER]
    assert found.is_complete
    assert found.steps == len(whole.taken)
    assert len(found.points) + found.alike == len(possible) > found.steps
    assert found.tried == len(found.points) > found.steps / 2
    # Before its first write a temporary file has a name to lose, after half of it a content as well, and is whole last.
    sizes = [len(offered(whole, TEMP.format(step))) for step in ("open", "write", "fsync")]
    assert sizes == [2, 3, 5]


def rows_of(stack: Stack) -> list[object]:
    """All that is committed but the rows' own numbers: of these some were drawn in vain by what a cut undid."""
    tables = [row["name"] for row in stack.rows.query(ALL_TABLES)]
    return [stack.rows.query(f"SELECT to_jsonb(t) - 'id' AS row FROM {name} AS t ORDER BY 1") for name in tables]


@pytest.mark.timeout(300)
def test_cuts_that_are_not_tried_end_as_those_they_are_like(rehearse: Rehearse) -> None:
    ends: list[object] = []
    keys: list[bytes | None] = []

    def body(stack: Stack) -> None:
        a_baseline(stack)
        files = {path: one.content for path, one in Files(stack.home).keep().items()}
        kept = {path: content for path, content in files.items() if path not in ("state/.lock", WORKER_PID)}
        ends.append((rows_of(stack), kept))

    rehearsal = rehearse(body)

    def noted(option: Option) -> None:
        keys.append(rehearsal.strikes.alike(option))

    found = CrashExplorer(rehearsal, SCENARIO, alike=noted).explore()

    assert (len(ends), found.alike) == (1 + len(keys), 0)
    by_key: dict[bytes | None, list[object]] = {}
    for key, end in zip(keys, ends[1:], strict=True):
        by_key.setdefault(key, []).append(end)
    assert len(by_key) < len(keys) / 2
    assert [key for key, same in by_key.items() if any(end != same[0] for end in same)] == []


def test_what_was_found_is_told_and_kept(rehearse: Rehearse) -> None:
    found = explored(rehearse(a_baseline))
    certificate = found.certificate()

    told = "\n".join(tell_crashes(found))
    assert f"complete, {found.tried} tried of {found.tried} ({found.tried} power cuts before its step)" in told
    assert f"with {found.alike} more" in told
    assert (certificate.struck, certificate.strikeable, certificate.alike) == (
        found.tried + found.alike,
        found.tried + found.alike,
        found.alike,
    )
    assert (certificate.is_complete, certificate.actors) == (True, ("w1",))
    assert {one.words: one.ends for one in certificate.outcomes} == {"w1 succeeded": 1, "w1 unknown": found.tried}


@pytest.mark.parametrize(("in_order", "disks"), [(True, 6), (False, 17)])
def test_names_lost_each_for_itself_leave_more_disks(rehearse: Rehearse, in_order: bool, disks: int) -> None:
    trace = replay(rehearse(a_baseline, names_in_order=in_order), Schedule())

    # Four names, one of them the intent's, in order or each for itself; and the disk without even the lock file's.
    assert len(offered(trace, "w1:fsync:state")) == disks


def test_disk_of_a_cut_is_what_the_next_worker_finds(rehearse: Rehearse) -> None:
    left: list[dict[str, bytes | None]] = []
    rehearsal = rehearse(a_baseline)
    recover = rehearsal._recover

    def looking(seats: object) -> None:
        files = Files(rehearsal._stack.home).keep()
        left.append({path: file.content for path, file in files.items() if path.endswith(".worker-tmp")})
        recover(seats)  # type: ignore[arg-type]

    rehearsal._recover = looking  # type: ignore[method-assign]
    point = "w1:fsync:state/.baseline_holdings.json.%2A-1.worker-tmp=w1+power"
    traces = [replay(rehearsal, Schedule((read_choice(f"{point}{number or ''}"),))) for number in range(5)]

    contents = [next(iter(one.values()), None) for one in left]
    whole = contents[-1]
    assert whole is not None
    assert contents == [None, None, b"", whole[: len(whole) // 2], whole]
    assert [len(trace.lost) for trace in traces] == [3, 1, 1, 1, 0]
    assert traces[3].lost[0].endswith("after 1 of its 2 changes")


def test_failure_after_a_cut_says_what_was_lost_and_the_token_repeats_it(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.operator("day").apply_baseline({"BTC": "0.25"})
        with stack.race() as race:
            worker = race.worker("w1")
        lost, names = race.trace.lost, "name state/.baseline_holdings.json."
        assert worker.killed_at is None or [one.startswith(names) for one in lost] != [True], "one name is lost"

    rehearsal = rehearse(body, names_in_order=False)
    with pytest.raises(AssertionError, match="one name is lost") as failure:
        explored(rehearsal)

    notes = failure.value.__notes__
    assert any("loses its POWER before write state/.managed_state.json" in note for note in notes)
    assert any(note.startswith("LOST by the power cut: name state/.baseline_holdings.json.") for note in notes)
    (token,) = (note.removeprefix("TOKEN ") for note in notes if note.startswith("TOKEN "))
    assert "=w1+power" in token
    with pytest.raises(AssertionError, match="one name is lost"):
        replay(rehearsal, read_token(token).schedule)


def test_replay_tells_what_is_lost(rehearse: Rehearse) -> None:
    cut = Schedule((read_choice("w1:flock:state/.lock=w1+power"),))

    told = list(tell_retold(retell(rehearse(a_baseline), cut)))

    assert told[-3:] == [
        "lost     name logs/command_worker.pid",
        "lost     name state/.lock",
        "outcome  w1 unknown",
    ]


def test_disk_that_is_not_there_any_longer_is_told(rehearse: Rehearse) -> None:
    gone = Schedule((read_choice("w1:fsync:state=w1+power99"),))
    with pytest.raises(SimError, match="schedule/option_gone"):
        replay(rehearse(a_baseline), gone)


def test_power_cut_that_would_have_to_strike_two_is_refused(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.operator("day").apply_baseline({"BTC": "0.25"})
        with stack.race() as race:
            race.worker("w1")
            race.worker("w2")

    with pytest.raises(SimError, match=r"schedule/power_takes_all.* w1 and w2 at once"):
        explored(rehearse(body))


def test_power_cut_beside_a_worker_of_this_process_is_refused(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.operator("day").apply_baseline({"BTC": "0.25"})
        with stack.race() as race:
            race.start(stack.worker.directed("w2").run_once)
            race.worker("w1")

    with pytest.raises(SimError, match="schedule/power_takes_all"):
        explored(rehearse(body))


def test_power_cut_beside_an_operator_strikes_the_worker_alone(rehearse: Rehearse) -> None:
    def body(stack: Stack) -> None:
        stack.given.reference_profile()
        stack.operator("day").apply_profile(REFERENCE_PROFILE)
        with stack.race() as race:
            race.worker("w1")
            race.start(stack.operator("night").open_profile, REFERENCE_PROFILE)

    found = explored(rehearse(body))

    assert {point.taken.actor for point in found.points} == {"w1"}


def test_marks_of_a_scenario_say_what_strikes_it_and_how() -> None:
    @every_power_cut
    def journalled() -> None: ...

    @every_power_cut(names_in_order=False)
    def posix() -> None: ...

    assert struck_by(journalled) == struck_by(posix) == (Kind.POWER,)
    assert (keeps_names_in_order(journalled), keeps_names_in_order(posix)) == (True, False)


def test_power_cut_in_every_order_is_refused() -> None:
    require_every_order((Kind.KILL, Kind.CUT, Kind.DROP_REPLY))
    with pytest.raises(SimError, match="schedule/power_in_every_order"):
        require_every_order((Kind.KILL, Kind.POWER))


@pytest.mark.parametrize(("disk", "text"), [(0, "w1:exit=w1+power"), (12, "w1:exit=w1+power12")])
def test_token_names_the_disk(disk: int, text: str) -> None:
    choice = read_choice(text)

    assert choice == Choice(choice.instead_of, Option("w1", Kind.POWER, disk))
    assert str(choice) == text


@pytest.mark.parametrize("text", ["w1:exit=w1+power01", "w1:exit=w1+power0", "w1:exit=w1+kill2", "w1:exit=w1+2"])
def test_disk_that_no_token_names_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="expected actor"):
        read_choice(text)
