"""Ten states, known by everybody alike (R2).

Asked in review: the GUI was deployed with a new state that the worker had never heard of; who noticed?
Must hold: a list exported from another code base is held against our ten states letter by letter, and what differs is
named; the database takes each of the ten and no eleventh.
"""

import psycopg
import pytest

from sim.story import Stack
from worker.contracts.state_parity import exported_states, parity_problems
from worker.contracts.states import ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

GUI_LIST = """
# exported from the GUI
frozen
proposal_pending
risk_proposed
approved
rejected
expired
managed_active
paused
drift_flagged
released
"""

OTHER_LISTS = {
    "one is missing": (GUI_LIST.replace("paused\n", ""), "lacks paused"),
    "one more": (GUI_LIST + "halted\n", "knows 'halted'"),
    "other letters": (GUI_LIST.replace("frozen", "Frozen"), "lacks frozen"),
    "one twice": (GUI_LIST + "paused\n", "names 'paused' 2 times"),
}


def test_list_of_the_gui_names_exactly_our_states() -> None:
    assert parity_problems(exported_states(GUI_LIST)) == ()
    assert parity_problems(reversed(exported_states(GUI_LIST))) == ()


@pytest.mark.parametrize("other", OTHER_LISTS)
def test_list_that_differs_is_told_where(other: str) -> None:
    text, told = OTHER_LISTS[other]
    assert told in " ".join(parity_problems(exported_states(text)))


def test_database_takes_every_state_and_no_other(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")

    for state in ManagedState:
        stack.cache.change_proposal(proposal, state=state.value)
    with pytest.raises(psycopg.errors.CheckViolation):
        stack.cache.change_proposal(proposal, state="halted")

    stack.cache.change_proposal(proposal, state="risk_proposed")
    assert stack.proposal(proposal) == proposal
