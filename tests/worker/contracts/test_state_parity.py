"""One enum of ten states: another code base's list is held against it, whatever form it was exported in."""

import json
from collections.abc import Callable

import pytest

from worker.contracts.state_parity import MAX_CHARS, exported_states, parity_problems
from worker.contracts.states import ManagedState

TEN = [state.value for state in ManagedState]

FORMS: dict[str, Callable[[list[str]], str]] = {
    "json array": json.dumps,
    "json array in lines": lambda states: json.dumps(states, indent=2) + "\n",
    "json enum": lambda states: json.dumps({state.upper(): state for state in states}),
    "lines": "\n".join,
    "lines with remarks": lambda states: "# states\r\n\r\n" + "\r\n".join(f"  {state}" for state in states) + "\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_foreign_list_that_names_the_ten_agrees_in_any_form_and_order(form: str) -> None:
    exported = exported_states(FORMS[form](TEN[::-1]))

    assert exported == tuple(TEN[::-1])
    assert parity_problems(exported) == ()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("missing", TEN)
def test_foreign_list_that_lacks_a_state_is_told_which(form: str, missing: str) -> None:
    exported = exported_states(FORMS[form]([state for state in TEN if state != missing]))

    assert parity_problems(exported) == (f"lacks {missing}",)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("closed", "knows 'closed', which is no state"),
        ("Frozen", "knows 'Frozen', which is no state"),
        ("frozen ", "knows 'frozen ', which is no state"),
        ("frozen", "names 'frozen' 2 times"),
    ],
    ids=["stranger", "letter case", "blank", "twice"],
)
def test_foreign_list_that_says_more_is_told_what(more: str, told: str) -> None:
    assert parity_problems(exported_states(json.dumps([*TEN, more]))) == (told,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n# only a remark\n",
        "[]",
        "{}",
        '["frozen", 1]',
        '[["frozen"]]',
        '["frozen"',
        '{"A": "a", "A": "b"}',
        "[NaN]",
    ],
)
def test_what_is_no_list_of_states_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        exported_states(text)


def test_list_is_read_up_to_its_bound_and_refused_beyond_it() -> None:
    assert exported_states("x" * MAX_CHARS) == ("x" * MAX_CHARS,)
    with pytest.raises(ValueError):
        exported_states("x" * (MAX_CHARS + 1))
