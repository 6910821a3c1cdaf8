"""What a clock leaves alone in a process that it patches: elapsed time, civil time elsewhere, the patches of others."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sim.clock import ClockReading, follow_clock_file, real_now

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)
STANDING = ClockReading(virtual_at=NINE, real_at=NINE, running=False).to_json()

# Tells the module of a class known before, whether elapsed time is Python's own, and the civil time; at each stage.
PATCHED = """
import json, sys, time
from datetime import datetime as known
from pathlib import Path
from time import monotonic as elapsed
from sim.clock import follow_clock_file, patched_process

OWN = [time.monotonic, time.perf_counter, time.monotonic_ns, time.perf_counter_ns, elapsed]

def seen():
    now = [time.monotonic, time.perf_counter, time.monotonic_ns, time.perf_counter_ns, elapsed]
    return [known.__module__, now == OWN, time.time()]

stages = [seen()]
with patched_process():
    stages.append(seen())
    with follow_clock_file(Path(sys.argv[1])):
        stages.append(seen())
    stages.append(seen())
stages.append(seen())
print(json.dumps(stages))
"""


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


def test_patched_process_shows_real_time_but_where_a_clock_rules_and_is_left_as_it_was(clock_file: Path) -> None:
    clock_file.write_text(STANDING)

    done = subprocess.run(
        [sys.executable, "-c", PATCHED, str(clock_file)], check=True, capture_output=True, text=True, timeout=60
    )

    stages = json.loads(done.stdout)
    assert [stage[0] for stage in stages] == ["datetime", *["freezegun.api"] * 3, "datetime"]
    assert [stage[1] for stage in stages] == [True] * 5
    assert stages[2][2] == NINE.timestamp()
    real = [stages[number][2] for number in (0, 1, 3, 4)]
    assert [at for at in real if abs(at - real_now().timestamp()) > 60] == []


def test_elapsed_time_goes_on_as_the_system_counts_it_under_a_frozen_clock(clock_file: Path) -> None:
    clock_file.write_text(STANDING)

    with follow_clock_file(clock_file):
        civil, elapsed = time.time(), [time.monotonic(), time.monotonic_ns() / 1e9]
        counted = time.clock_gettime(time.CLOCK_MONOTONIC)

    assert civil == NINE.timestamp()
    assert [at for at in elapsed if not 0 <= counted - at < 60] == []


def test_somebody_elses_freeze_after_a_clock_still_freezes_elapsed_time(clock_file: Path) -> None:
    source = (
        "import sys, time, freezegun\n"
        "from pathlib import Path\n"
        "from sim.clock import follow_clock_file\n"
        "with follow_clock_file(Path(sys.argv[1])):\n"
        "    pass\n"
        "with freezegun.freeze_time('2026-05-12T09:00:00Z'):\n"
        "    print(time.monotonic() == time.monotonic() == time.time())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", source, str(clock_file)], check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "True\n"
