"""`no_mutation`: what it lets pass, what it names, and that a block without action proves nothing."""

import hashlib
import json
import mmap
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.timeline import Timeline
from sim.witness.audit import acting_as
from sim.witness.no_mutation import MutationFound, Sensors, no_mutation
from sim.witness.watch_event import WatchKind
from tests.sim.witness.children import forked

PORTFOLIO, MARKET = "live_portfolio.json", "state/market_snapshot.json"
EVENTS = {PORTFOLIO: "portfolio_write", MARKET: "market_snapshot_write"}


def watched(
    home: Path,
    timeline: Timeline,
    act: Callable[[], object],
    *allow: str,
    sensors: Sensors | None = None,
    bot_journal: bool = True,
) -> dict[str, str]:
    """What was found by path, worst first, while an actor did `act`."""
    try:
        block = no_mutation(home, timeline, allow=allow, sensors=sensors, bot_journal=bot_journal)
        with block, acting_as("worker:w1"):
            timeline.record(actor="worker:w1", kind="worker.ran", subject="c1")
            act()
    except MutationFound as failure:
        return {mutation.path: mutation.what for mutation in failure.mutations}
    return {}


def replace(path: Path, content: str, temporary: str) -> None:
    (path.parent / temporary).write_text(content)
    (path.parent / temporary).replace(path)


def remade(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.touch()


def linked(folder: Path) -> None:
    folder.rename(folder.parent.parent / "moved")
    folder.symlink_to(folder.parent.parent / "moved")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda home: (home / "logs" / "worker.log").write_text("x"), id="a log"),
        pytest.param(lambda home: (home / "state" / ".lock").write_text("1"), id="the home lock"),
        pytest.param(lambda home: (home / ".env").read_text(), id="a look"),
        pytest.param(lambda home: (home / "state").mkdir(exist_ok=True), id="making a folder that is there"),
        pytest.param(lambda home: (home / "state" / ".intent.json").unlink(missing_ok=True), id="removing nothing"),
        pytest.param(lambda home: (home.parent / "beside").write_text("x"), id="a file elsewhere"),
    ],
)
def test_what_is_always_allowed_passes(act: Callable[[Path], object], home: Path, timeline: Timeline) -> None:
    assert watched(home, timeline, lambda: act(home)) == {}


@pytest.mark.parametrize(
    ("act", "path"),
    [
        pytest.param(lambda home: (home / "state" / ".lock").unlink(), "state/.lock", id="lock removed"),
        pytest.param(lambda home: remade(home / "state" / ".lock"), "state/.lock", id="lock made anew"),
        pytest.param(lambda home: replace(home / "state" / ".lock", "", ".x"), "state/.lock", id="lock replaced"),
        pytest.param(lambda home: (home / "logs").rename(home.parent / "away"), "logs", id="logs moved away"),
        pytest.param(lambda home: linked(home / "logs"), "logs", id="logs behind a link"),
        pytest.param(lambda home: (home / "logs" / "x").symlink_to("/dev/null"), "logs/x", id="log to nowhere"),
    ],
)
def test_what_is_always_allowed_to_be_written_may_not_be_taken_away(
    act: Callable[[Path], object], path: str, home: Path, timeline: Timeline
) -> None:
    (home / "state" / ".lock").touch()

    assert path in watched(home, timeline, lambda: act(home))


def test_lock_that_is_named_may_be_made_anew(home: Path, timeline: Timeline) -> None:
    (home / "state" / ".lock").touch()

    assert watched(home, timeline, lambda: remade(home / "state" / ".lock"), "state/.lock") == {}


def test_what_is_named_passes_with_its_temporary_files_and_folders(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        replace(home / "state" / "managed_state.json", "{}", ".managed_state.json.c1.1.worker-tmp")
        replace(home / "state" / ".intent.json", "{}", ".intent.json.c1.1.worker-tmp")
        (home / "state" / ".intent.json").unlink()
        (home / "state" / "audit_snapshots").mkdir()
        (home / "state" / "audit_snapshots" / "c1.json").write_text("{}")

    assert watched(home, timeline, act, "state/managed_state.json", "state/audit_snapshots/*") == {}


def test_what_is_not_named_is_found_beside_what_is(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        (home / "state" / "managed_state.json").write_text('{"other": 1}')
        (home / "state" / "baseline_holdings.json").write_text("{}")
        (home / "runtime_config.json").write_text("{}")
        (home / "runtime_config.json").unlink()
        (home / ".env").chmod(0o600)

    assert watched(home, timeline, act, "state/managed_state.json") == {
        "state/baseline_holdings.json": "created",
        "runtime_config.json": "created and removed again",
        ".env": "metadata",
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (".managed_state.json.c1.worker-tmp", "created"),
        (".intent.json", "created"),
        ("managed_state.json.bak", "created"),
    ],
)
def test_a_by_product_that_stays_is_found(name: str, found: str, home: Path, timeline: Timeline) -> None:
    act = (home / "state" / name).write_text

    assert watched(home, timeline, lambda: act("{}"), "state/managed_state.json") == {f"state/{name}": found}


def test_an_intent_is_found_where_neither_of_its_files_is_named(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        (home / "state" / ".intent.json").write_text("{}")
        (home / "state" / ".intent.json").unlink()

    assert watched(home, timeline, act, "state/audit_snapshots/*") == {
        "state/.intent.json": "created and removed again"
    }


def test_a_file_opened_for_writing_and_left_as_it_was_is_found(home: Path, timeline: Timeline) -> None:
    assert watched(home, timeline, lambda: (home / ".env").open("r+").close()) == {".env": "opened for writing"}


def test_a_transient_file_is_found_by_its_folder_where_there_is_no_watch(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        (home / "runtime_config.json").write_text("{}")
        (home / "runtime_config.json").unlink()

    without_watch = Sensors(only_watch=WatchKind.NONE)
    found = watched(home, timeline, lambda: forked(act), sensors=without_watch)

    assert found == {".": "touched-and-restored"}
    assert "no continuous watch" in timeline.of_kind("witness.no_mutation_began")[0].detail["blind"][0]


def test_a_mutation_names_actor_line_time_before_and_after(home: Path, timeline: Timeline) -> None:
    noon = datetime(2026, 5, 12, 12, tzinfo=UTC)

    watched(home, timeline, lambda: (home / ".env").write_text("X=1"), sensors=Sensors(to_virtual=lambda _: noon))

    (event,) = timeline.of_kind("witness.mutation")
    assert (event.subject, event.at, event.detail["by"]) == (".env", noon, f"worker:w1 (pid {os.getpid()})")
    assert Path(__file__).name in event.detail["source"]
    assert event.detail["before"] != event.detail["after"]
    assert event.detail["sensors"] == ["snapshot", "watch", "audit"]


def test_a_process_that_says_nothing_is_named_by_the_stack_where_its_pid_is_known(
    home: Path, timeline: Timeline
) -> None:
    sensors = Sensors(actor_of_pid=lambda _: "bot")

    watched(home, timeline, lambda: forked(lambda: (home / ".env").chmod(0o600)), sensors=sensors)

    (event,) = timeline.of_kind("witness.mutation")
    watch = timeline.of_kind("witness.no_mutation_began")[0].detail["watch"]
    expected = {"fanotify": "bot (pid ", "inotify": "a process that no sensor names"}[watch]
    assert event.detail["by"].startswith(expected)


def test_a_block_in_which_nobody_acts_is_vacuous(home: Path, timeline: Timeline) -> None:
    with pytest.raises(SimError) as raised, no_mutation(home, timeline):
        timeline.record(actor="clock", kind="clock.moved", subject="clock")

    assert raised.value.code == "witness/vacuous"
    assert len(timeline.of_kind("witness.vacuous")) == 1


def test_an_action_before_the_block_does_not_count(home: Path, timeline: Timeline) -> None:
    timeline.record(actor="worker:w1", kind="worker.ran", subject="c1")

    with pytest.raises(SimError) as raised, no_mutation(home, timeline):
        pass

    assert raised.value.code == "witness/vacuous"


def test_the_failure_of_a_block_goes_on_with_the_mutations_as_a_note(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        (home / ".env").write_text("X=1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        watched(home, timeline, act)

    assert ".env: content" in raised.value.__notes__[0]
    assert len(timeline.of_kind("witness.mutation")) == 1


def sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def journal_line(home: Path, name: str, content: str) -> None:
    line = {
        "at": "2026-05-12T09:00:00Z",
        "pid": os.getpid(),
        "cycle": 1,
        "event": EVENTS[name],
        "previous_sha256": sha256(home / name),
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
    }
    with (home / "logs" / "bot_journal.jsonl").open("a") as journal:
        journal.write(json.dumps(line) + "\n")


def bot_writes(home: Path, name: str, content: str) -> None:
    journal_line(home, name, content)
    replace(home / name, content, f".{Path(name).name}.staged")


def as_bot(act: Callable[[], object]) -> Callable[[], int]:
    """A process of its own, whose pid the journal lines carry."""
    return lambda: forked(act)


@pytest.mark.parametrize("name", [PORTFOLIO, MARKET])
def test_what_the_bot_journals_passes(name: str, home: Path, timeline: Timeline) -> None:
    def act() -> None:
        bot_writes(home, name, '{"cycle": 1}')
        bot_writes(home, name, '{"cycle": 2}')

    assert watched(home, timeline, as_bot(act)) == {}


def test_a_write_announced_before_the_block_passes_when_its_rename_falls_inside(home: Path, timeline: Timeline) -> None:
    journal_line(home, PORTFOLIO, "{}")

    found = watched(home, timeline, lambda: None)
    with acting_as("bot"), no_mutation(home, timeline):
        timeline.record(actor="bot", kind="bot.cycle", subject="1")
        replace(home / PORTFOLIO, "{}", f".{PORTFOLIO}.staged")

    assert found == {}


def unjournalled(home: Path) -> None:
    replace(home / PORTFOLIO, "{}", f".{PORTFOLIO}.staged")


def journalled_but_written_in_place(home: Path) -> None:
    journal_line(home, PORTFOLIO, "{}")
    (home / PORTFOLIO).write_text("{}")


def given_another_mode(home: Path) -> None:
    bot_writes(home, PORTFOLIO, "{}")
    (home / PORTFOLIO).chmod(0o600)


def overwritten_after_the_bot(home: Path) -> None:
    bot_writes(home, PORTFOLIO, "{}")
    replace(home / PORTFOLIO, '{"x": 1}', ".other")


def removed(home: Path) -> None:
    (home / PORTFOLIO).unlink()


def market_unjournalled(home: Path) -> None:
    replace(home / MARKET, "{}", ".market_snapshot.json.staged")


@pytest.mark.parametrize(
    "act",
    [
        unjournalled,
        journalled_but_written_in_place,
        given_another_mode,
        overwritten_after_the_bot,
        removed,
        market_unjournalled,
    ],
)
def test_what_the_journal_does_not_explain_is_found(
    act: Callable[[Path], object], home: Path, timeline: Timeline
) -> None:
    found = watched(home, timeline, as_bot(lambda: act(home)))

    assert {PORTFOLIO, MARKET} & set(found)


def test_a_worker_that_forges_a_journalled_write_is_found_by_what_it_says_of_itself(
    home: Path, timeline: Timeline
) -> None:
    def act() -> None:
        forked(lambda: bot_writes(home, PORTFOLIO, '{"cycle": 1}'))
        replace(home / PORTFOLIO, "{}", f".{PORTFOLIO}.staged")
        replace(home / PORTFOLIO, '{"cycle": 1}', f".{PORTFOLIO}.staged")

    assert PORTFOLIO in watched(home, timeline, act)


def test_the_bot_is_trusted_with_nothing_where_its_journal_is_not(home: Path, timeline: Timeline) -> None:
    act = as_bot(lambda: bot_writes(home, PORTFOLIO, "{}"))

    assert PORTFOLIO in watched(home, timeline, act, bot_journal=False)


@pytest.mark.parametrize("only", [WatchKind.FANOTIFY, WatchKind.INOTIFY])
def test_a_silent_process_that_repeats_the_bots_write_is_found(only: WatchKind, home: Path, timeline: Timeline) -> None:
    """By its pid under fanotify, by the count of renames under inotify, by neither where there is no watch."""

    def forge() -> None:
        for _ in range(2):
            replace(home / PORTFOLIO, '{"cycle": 1}', f".{PORTFOLIO}.staged")

    def act() -> None:
        forked(lambda: bot_writes(home, PORTFOLIO, '{"cycle": 1}'))
        forked(forge)

    found = watched(home, timeline, act, sensors=Sensors(only_watch=only))

    watch = timeline.of_kind("witness.no_mutation_began")[0].detail["watch"]
    assert (PORTFOLIO in found) is (watch != "none")


def test_content_put_back_once_more_than_the_journal_says_is_found_without_a_process_to_name(
    home: Path, timeline: Timeline
) -> None:
    bot_writes(home, PORTFOLIO, "{}")

    def act() -> None:
        forked(lambda: replace(home / PORTFOLIO, "{}", f".{PORTFOLIO}.staged"))

    assert PORTFOLIO in watched(home, timeline, act, sensors=Sensors(only_watch=WatchKind.INOTIFY))


def test_a_process_other_than_the_bot_is_told_by_its_pid(home: Path, timeline: Timeline) -> None:
    def act() -> None:
        journal_line(home, PORTFOLIO, "{}")
        forked(lambda: replace(home / PORTFOLIO, "{}", f".{PORTFOLIO}.staged"))

    found = watched(home, timeline, act)

    watch = timeline.of_kind("witness.no_mutation_began")[0].detail["watch"]
    # inotify names no process, and one rename of announced content is what the bot would have done.
    assert (PORTFOLIO in found) is (watch == "fanotify")


def test_another_mode_is_found_by_the_snapshot_alone(home: Path, timeline: Timeline) -> None:
    act = as_bot(lambda: given_another_mode(home))

    found = watched(home, timeline, act, sensors=Sensors(only_watch=WatchKind.NONE))

    assert PORTFOLIO in found


def test_an_intent_that_was_there_and_is_changed_is_found(home: Path, timeline: Timeline) -> None:
    (home / "state" / ".intent.json").write_text("{}")

    found = watched(
        home, timeline, lambda: (home / "state" / ".intent.json").write_text("[]"), "state/managed_state.json"
    )

    assert found == {"state/.intent.json": "content"}


def test_a_page_mapped_before_the_block_is_found_by_its_content(home: Path, timeline: Timeline) -> None:
    with (home / "plain.bin").open("w+b") as stream:
        stream.write(b"a" * 4096)
        stream.flush()
        with mmap.mmap(stream.fileno(), 0) as view:
            view[0:1] = b"b"
            found = watched(home, timeline, lambda: view.__setitem__(slice(0, 1), b"c"))

    assert found == {"plain.bin": "content"}
