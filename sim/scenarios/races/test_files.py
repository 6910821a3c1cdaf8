"""Two workers of one home, each with a command that changes both files.

Asked in review: two workers paused two assets at the same moment; was one of the changes lost?
Must hold: the home lock lets them change the files one after the other, each finds what the other left, and files and
rows agree; who only reads meanwhile sees one generation or the other, never half of each.
"""

import pytest

from sim.story import Stack, between, every_interleaving
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = [
    pytest.mark.own_worker_only("workers are directed step by step, in this process"),
    pytest.mark.needs_handlers("managed"),
]

ASSETS = ("BTC", "ETH")


@every_interleaving(max_preemptions=1)
def test_two_changes_of_both_files_are_both_kept(stack: Stack) -> None:
    for asset in ASSETS:
        stack.given.managed_active(asset)
    before = stack.asset("BTC").generation
    commands = [stack.operator("day").pause(asset) for asset in ASSETS]

    with stack.race(
        reaches=between(
            "w2", after="w1:replace:state/baseline_holdings.json", before="w1:replace:state/managed_state.json"
        )
    ) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2")]

    assert [worker.value for worker in workers] == [1, 1]
    assert [stack.command(command).status for command in commands] == [CommandStatus.SUCCEEDED] * 2
    assert [stack.asset(asset).state for asset in ASSETS] == [ManagedState.PAUSED] * 2
    assert stack.asset("BTC").generation == before + 2
