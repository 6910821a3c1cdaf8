"""Sensors inside a child: what it logs, virtual time it sees, and that it never runs unwatched in silence."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sim.witness.audit import read_log
from tests.sim.witness.children import INJECT, environment, run_python

CLOCK_SHOWN = "import time, datetime; print(datetime.datetime.now(datetime.timezone.utc).isoformat(), time.time())"


def write_clock(path: Path, virtual_at: str, *, running: bool = False, real_at: str | None = None) -> None:
    real_at = real_at or datetime.now(UTC).isoformat()
    content = json.dumps({"virtual_at": virtual_at, "real_at": real_at, "running": running})
    (path.parent / "clock.new").write_text(content)
    (path.parent / "clock.new").replace(path)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    write_clock(tmp_path / "clock.json", "2026-05-12T09:00:00Z")
    return tmp_path / "clock.json"


def test_a_child_logs_what_it_does_with_its_actor_and_line(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    done = run_python(f"open({str(home / 'x')!r}, 'w')\nopen({str(home / 'x')!r})", **environment(log=log))

    events, _ = read_log(log)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(event.actor, event.what, event.path) for event in events] == [
        ("worker:w1", "sensor.installed", None),
        ("worker:w1", "file.open", str(home / "x")),
    ]
    assert events[1].source == "<string>:1"


def test_a_child_without_the_variables_is_left_alone() -> None:
    done = run_python(
        "import sys; print('freezegun' in sys.modules, 'sim_witness_events' in sys.modules)", **environment()
    )

    assert (done.stdout, done.stderr) == ("False False\n", "")


def test_the_log_survives_a_child_that_closes_all_descriptors(home: Path, tmp_path: Path) -> None:
    log, victim = tmp_path / "log", home / "victim"
    source = (
        "import os, sys\n"
        "os.closerange(3, 4096)\n"
        "fds = [os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT) for _ in range(250)]\n"
        "os.mkdir(sys.argv[1] + '.d')\n"
    )

    done = run_python(source, victim, **environment(log=log))

    assert (done.returncode, done.stderr) == (0, "")
    assert victim.read_bytes() == b""
    assert read_log(log)[0][-1].path == f"{victim}.d"


def test_a_grandchild_is_watched_too(home: Path, tmp_path: Path) -> None:
    inner = "import sys; open(sys.argv[1], 'w')"
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}, sys.argv[1]])"

    run_python(source, home / "x", **environment(log=tmp_path / "log"))

    events, _ = read_log(tmp_path / "log")
    assert {event.what for event in events} == {"sensor.installed", "process.start", "file.open"}
    assert len({event.pid for event in events}) == 2


def test_a_hidden_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')")

    done = run_python("print('main')", **environment(PYTHONPATH=f"{INJECT}:{tmp_path}"))

    assert (done.stdout, done.stderr) == ("theirs\nmain\n", "")


def test_a_module_of_the_child_is_not_hidden_by_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "events.py").write_text("WHOSE = 'theirs'")

    done = run_python("import events; print(events.WHOSE)", **environment(PYTHONPATH=f"{INJECT}:{tmp_path}"))

    assert (done.stdout, done.stderr) == ("theirs\n", "")


def test_a_child_that_hands_its_own_path_on_is_followed(home: Path, tmp_path: Path) -> None:
    inner = "import sys; open(sys.argv[1], 'w')"
    source = (
        "import os, subprocess, sys\n"
        "told = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}, sys.argv[1]], env=told)\n"
    )

    run_python(source, home / "x", **environment(log=tmp_path / "log"))

    events, _ = read_log(tmp_path / "log")
    assert [event.what for event in events] == ["sensor.installed", "process.start", "sensor.installed", "file.open"]
    assert events[-1].path == str(home / "x")


def test_a_frozen_clock_is_what_a_child_sees(clock: Path) -> None:
    done = run_python(CLOCK_SHOWN, **environment(SIM_CLOCK_FILE=str(clock)))

    assert done.stdout.split() == ["2026-05-12T09:00:00+00:00", "1778576400.0"]


def test_a_running_clock_goes_on_from_where_it_was_set(clock: Path) -> None:
    write_clock(clock, "2026-05-12T09:00:00Z", running=True, real_at="2020-01-01T00:00:00Z")

    done = run_python(CLOCK_SHOWN, **environment(SIM_CLOCK_FILE=str(clock)))

    elapsed_s = time.time() - datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    assert float(done.stdout.split()[1]) == pytest.approx(1778576400 + elapsed_s, abs=30)


def test_a_moved_clock_is_seen_by_a_running_child_and_elapsed_time_stays_real(clock: Path) -> None:
    source = (
        "import sys, os, time\n"
        "first, started = time.time(), time.monotonic()\n"
        "os.rename(sys.argv[1], sys.argv[2])\n"
        "time.sleep(0.01)\n"
        "print(time.time() - first, 0 < time.monotonic() - started < 60)\n"
    )
    later = clock.parent / "later"
    write_clock(later, "2026-05-12T09:16:00Z")

    done = run_python(source, later, clock, **environment(SIM_CLOCK_FILE=str(clock)))

    assert (done.stdout, done.stderr) == ("960.0 True\n", "")


def test_an_event_carries_virtual_time_where_the_child_has_it(home: Path, clock: Path, tmp_path: Path) -> None:
    run_python(
        "open(__import__('sys').argv[1], 'w')",
        home / "x",
        **environment(log=tmp_path / "log", SIM_CLOCK_FILE=str(clock)),
    )

    event = read_log(tmp_path / "log")[0][-1]
    assert event.virtual_at == datetime(2026, 5, 12, 9, tzinfo=UTC)
    assert abs(event.at_ns / 1e9 - time.time()) < 60


@pytest.mark.parametrize(
    "told",
    [
        {"SIM_CLOCK_FILE": "absent/clock.json"},
        {"SIM_CLOCK_FILE": "empty.json"},
        {"SIM_CLOCK_FILE": "noon.json"},
        {"SIM_WITNESS_LOG": "absent/log"},
        {"SIM_LANDLOCK": "not JSON"},
        {"SIM_LANDLOCK": "[]"},
    ],
    ids=["no clock file", "empty clock", "no times", "log in no folder", "rights not JSON", "rights no mapping"],
)
def test_a_sensor_that_cannot_be_installed_ends_the_child(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "noon.json").write_text('{"virtual_at": "noon", "real_at": "noon", "running": false}')
    monkeypatch.chdir(tmp_path)

    done = run_python("print('ran unwatched')", **{**environment(), **told})

    assert (done.returncode, done.stdout) == (78, "")
    assert "sensor could not be installed" in done.stderr


def test_a_process_forked_from_a_bare_one_installs_for_itself(home: Path, clock: Path, tmp_path: Path) -> None:
    source = (
        "import os, sys, json, time, datetime, sitecustomize\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    names = sitecustomize.install(json.loads(sys.argv[1]))\n"
        "    open(sys.argv[2], 'w').write(' '.join(names) + ' ' + str(time.time()))\n"
        "    os._exit(0)\n"
        "status = os.waitpid(pid, 0)[1]\n"
        "open(sys.argv[2] + '.parent', 'w').write(str(time.time() > 1778576400 + 60))\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    told = {"SIM_WITNESS_LOG": str(tmp_path / "log"), "SIM_WITNESS_ACTOR": "worker:w2", "SIM_CLOCK_FILE": str(clock)}

    done = run_python(source, json.dumps(told), home / "x", **environment())

    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "x").read_text() == "clock audit 1778576400.0"
    assert [(event.actor, event.path) for event in read_log(tmp_path / "log")[0]] == [
        ("worker:w2", None),
        ("worker:w2", str(home / "x")),
    ]


WARM = """
import json, os, sys, time, datetime, sitecustomize
from datetime import datetime as known
from time import time as told
sitecustomize.preload(virtual_time=sys.argv[1] == "virtual")
real = [datetime.datetime, known, time.time, told]

def seen(environ):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        sitecustomize.install(environ)
        from email import utils  # imported by nobody before: it finds what the process has in place by now
        classes = [datetime.datetime.__module__, known.__module__, utils.datetime.datetime.__module__]
        kinds = sorted({type(function).__name__ for function in (time.time, told)})
        os.write(theirs, json.dumps([classes, kinds, time.time(), told(), known.now().timestamp()]).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(ours, 4096))

print(json.dumps({"plain": seen({}), "following": seen(json.loads(sys.argv[2])), "itself": time.time()}))
"""
REAL_CLASSES = [["datetime"] * 3, ["builtin_function_or_method"]]
AT_NINE = 1778576400.0


@pytest.mark.parametrize("served", ["virtual", "real"])
def test_fork_of_a_warm_process_follows_its_clock_file_and_without_one_has_real_time_and_classes(
    served: str, clock: Path
) -> None:
    done = run_python(WARM, served, json.dumps({"SIM_CLOCK_FILE": str(clock)}), **environment(TZ="UTC"))

    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert shown["plain"][:2] == REAL_CLASSES
    assert [moment for moment in [*shown["plain"][2:], shown["itself"]] if abs(moment - time.time()) > 60] == []
    assert shown["following"][2:] == [AT_NINE] * 3


@pytest.mark.parametrize(("served", "is_patched"), [("virtual", True), ("real", False)])
def test_warm_process_is_patched_only_where_its_children_follow_a_clock(served: str, is_patched: bool) -> None:
    source = (
        "import sys, datetime, sitecustomize\n"
        "sitecustomize.preload(virtual_time=sys.argv[1] == 'virtual')\n"
        "print('sim_witness_clock_file' in sys.modules, datetime.datetime.__module__ == 'freezegun.api')\n"
    )

    done = run_python(source, served, **environment())

    assert (done.stdout, done.stderr) == (f"{is_patched} {is_patched}\n", "")


def test_warm_process_has_no_time_that_could_be_moved() -> None:
    source = (
        "import sitecustomize\n"
        "clock_file = sitecustomize._sibling('clock_file')\n"
        "clock = clock_file.RealClock()\n"
        "for move in (clock.tick, clock.move_to):\n"
        "    try:\n"
        "        move(1)\n"
        "    except clock_file.ClockFileError:\n"
        "        print('refused')\n"
    )

    done = run_python(source, **environment())

    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")


def test_process_that_no_longer_follows_a_clock_stamps_no_virtual_time(home: Path, clock: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = (
        "import os, sys, sitecustomize\n"
        "open(sys.argv[1], 'w')\n"
        "sitecustomize.install({**os.environ, 'SIM_CLOCK_FILE': ''})\n"
        "open(sys.argv[1], 'w')\n"
    )

    done = run_python(source, home / "x", **environment(log=log, SIM_CLOCK_FILE=str(clock)))

    assert (done.returncode, done.stderr) == (0, "")
    before, after = [event.virtual_at for event in read_log(log)[0] if event.what == "file.open"]
    assert (before, after) == (datetime(2026, 5, 12, 9, tzinfo=UTC), None)
