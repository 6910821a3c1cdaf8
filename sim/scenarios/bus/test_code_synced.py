"""Stage 1 of the reference run: the code that runs is the code that was delivered (G10-3c).

Asked in review: the fix was merged; was it also what the worker's host ran that night?
Must hold: the worker process runs the very files that were delivered, byte for byte, and reaches no exchange client.
"""

import pytest

from sim.story import delivered_code, imported_by_worker

FORBIDDEN = ("httpx", "requests", "urllib3", "aiohttp", "websockets", "ccxt", "binance", "sim", "pytest", "freezegun")


@pytest.mark.own_worker_only("looks at the modules of our own worker")
def test_worker_runs_the_files_that_were_delivered() -> None:
    delivered = delivered_code()
    imported = imported_by_worker()

    ours = {name: found for name, found in imported.items() if name.partition(".")[0] == "worker"}
    assert len(ours) > 30
    assert {name: found.sha256 for name, found in ours.items()} == {name: delivered[name] for name in ours}


@pytest.mark.own_worker_only("looks at the modules of our own worker")
@pytest.mark.parametrize("name", FORBIDDEN)
def test_worker_process_holds_no_exchange_or_stage_code(name: str) -> None:
    assert [found for found in imported_by_worker() if found.partition(".")[0] == name] == []


@pytest.mark.own_worker_only("looks at the modules of our own worker")
def test_changed_file_would_have_been_noticed() -> None:
    # The accepted twin's opposite: the comparison can fail.
    delivered = delivered_code(changed={"worker.command_worker": b"# another delivery\n"})
    assert delivered["worker.command_worker"] != imported_by_worker()["worker.command_worker"].sha256
