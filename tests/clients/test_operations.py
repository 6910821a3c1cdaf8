"""Every client that offers it does each numbered thing on the double, with the values that the exchange holds."""

import pytest

from tests.clients import cases_market, cases_orders
from tests.clients.case import CASES, Case
from tests.clients.process import ClientProcess
from tests.clients.stage import staged
from tests.clients.surfaces import SURFACES

PLAYED = [
    pytest.param(each, surface, id=f"{each.number}-{surface}")
    for each in CASES.values()
    for surface in SURFACES
    if each.is_offered_by(surface)
]


@pytest.mark.parametrize(("each", "surface"), PLAYED)
def test_case_as_the_client_tells_it(process: ClientProcess, each: Case, surface: str) -> None:
    with staged(SURFACES[surface](process), stands=each.stands) as stage:
        each.play(stage)

        assert stage.asked() == each.operations
        assert [entry for entry in stage.log() if entry.code] == []


def test_numbers_are_in_order() -> None:
    assert [*CASES] == sorted(CASES)
    assert {each.play.__module__ for each in CASES.values()} == {cases_market.__name__, cases_orders.__name__}
