"""Every method of every service takes its click and its environment by name, and neither has to be given."""

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import pytest

from worker.services.apply_baseline import ApplyBaselineService
from worker.services.apply_profile import ApplyProfileService
from worker.services.commands import CommandService
from worker.services.drift import DriftService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService

SERVICES = (
    ApplyProfileService,
    ApplyBaselineService,
    CommandService,
    ProposalService,
    ManagedStateService,
    DriftService,
)
METHODS = [
    pytest.param(method, id=f"{service.__name__}.{name}")
    for service in SERVICES
    for name, method in inspect.getmembers(service, inspect.isfunction)
    if not name.startswith("_")
]


def test_each_service_has_a_method() -> None:
    assert {str(method.id).partition(".")[0] for method in METHODS} == {service.__name__ for service in SERVICES}


@pytest.mark.parametrize("method", METHODS)
def test_click_and_environment_are_given_by_name_or_not_at_all(method: Callable[..., Any]) -> None:
    found = inspect.signature(method).parameters
    given = [(found[name].kind, found[name].default) for name in ("click_id", "environment")]
    assert given == [(Parameter.KEYWORD_ONLY, None), (Parameter.KEYWORD_ONLY, "testnet")]
