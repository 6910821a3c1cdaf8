"""Whatever knows one command type knows all ten: schema, service, handler, and a scenario that puts it on the bus."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import pytest

from sim.stack.given_managed import ManagedGiven
from sim.stack.operator_actor import Operator
from tests.architecture.scenario_tests import ROOT, function_of
from worker.contracts.commands import REGISTRY, CommandType
from worker.handlers.registry import HANDLERS

_LIFE = "approvals/test_life_of_an_asset.py"
_WHOLE = f"{_LIFE}::test_asset_goes_from_frozen_to_managed_and_back"
_REJECTED = f"{_LIFE}::test_proposal_that_is_rejected_leaves_the_asset_frozen_and_free_for_the_next"
_DAY = "approvals/test_audit_words.py::test_trail_of_a_day_keeps_each_family_under_its_own_prefix"
_PROFILE = "bus/test_reference_run.py::test_stop_before_the_worker_starts_leaves_the_trail"
_BASELINE = "faults/test_home_faults.py::test_baseline_succeeds_once_the_home_can_be_written_again"

SCENARIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "apply_profile_testnet": ("apply_profile", _PROFILE),
        "apply_baseline_holdings": ("apply_baseline", _BASELINE),
        "request_managed_proposal": ("request", _WHOLE),
        "approve_managed_proposal": ("approve", _WHOLE),
        "reject_managed_proposal": ("reject", _REJECTED),
        "pause_managed_asset": ("pause", _WHOLE),
        "resume_managed_asset": ("resume", _WHOLE),
        "release_managed_asset": ("release", _WHOLE),
        "flag_managed_drift": ("flag_of_the_bot", _DAY),
        "dry_run_promote_managed": ("promote_dry_run", f"{_LIFE}::test_promotion_is_only_looked_at"),
    }
)
"""Per command type the word of an actor that makes it, and a scenario that says that word and succeeds by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who knows which command types, by name."""

    types: Collection[str]
    schemas: Mapping[str, Collection[str]]
    services: str
    handlers: Collection[str]
    guide: str
    scenarios: Mapping[str, tuple[str, str]]


def known() -> Known:
    """What the project knows: `services` and `guide` are texts, a schema is the names of its fields."""
    services = sorted((ROOT / "worker" / "services").glob("*.py"))
    return Known(
        types=[kind.value for kind in CommandType],
        schemas={kind.value: spec.payload_type.__struct_fields__ for kind, spec in REGISTRY.items()},
        services="\n".join(path.read_text(encoding="utf-8") for path in services),
        handlers=[kind.value for kind, handler in HANDLERS.items() if hasattr(handler, "run")],
        guide=(ROOT / "docs" / "bring_your_own_worker.md").read_text(encoding="utf-8"),
        scenarios=SCENARIOS,
    )


def forgotten(whole: Known, lost: str, name: str) -> Known:
    """`whole` but for this type in that field."""
    without = {
        "schemas": replace(whole, schemas={kind: one for kind, one in whole.schemas.items() if kind != name}),
        "services": replace(whole, services=whole.services.replace(f"CommandType.{name.upper()}", "None")),
        "handlers": replace(whole, handlers=[kind for kind in whole.handlers if kind != name]),
        "guide": replace(whole, guide=whole.guide.replace(f"`{name}`", "")),
        "scenarios": replace(whole, scenarios={kind: one for kind, one in whole.scenarios.items() if kind != name}),
        "types": replace(whole, types=[kind for kind in whole.types if kind != name]),
    }
    return without[lost]


def gaps(of: Known) -> Iterator[str]:
    """One sentence per type that somebody does not know, or that nobody has."""
    made = {ast.unparse(node) for node in ast.walk(ast.parse(of.services)) if isinstance(node, ast.Attribute)}
    for name in of.types:
        if "checksum" not in of.schemas.get(name, ()):
            yield f"{name}: the registry has no payload for it"
        if f"CommandType.{name.upper()}" not in made:
            yield f"{name}: no service makes it"
        if name not in of.handlers:
            yield f"{name}: no handler runs it"
        if f"`{name}`" not in of.guide:
            yield f"{name}: the guide for other workers does not name it"
        yield from (f"{name}: {gap}" for gap in _gaps_in_scenario(*of.scenarios.get(name, ("", ""))))
    for name in sorted({*of.schemas, *of.handlers, *of.scenarios} - {*of.types}):
        yield f"{name}: there is no such type"


def _gaps_in_scenario(word: str, node: str) -> Iterator[str]:
    scenario = function_of(node)
    if scenario is None:
        yield "no scenario puts it on the bus"
    elif word not in {one.attr for one in ast.walk(scenario) if isinstance(one, ast.Attribute)}:
        yield f"{node} does not say {word}"
    elif not any(hasattr(actor, word) for actor in (Operator, ManagedGiven)):
        yield f"no actor knows the word {word}"


def test_every_command_type_is_known_everywhere() -> None:
    assert list(gaps(known())) == []


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("schemas", "the registry has no payload for it"),
        ("services", "no service makes it"),
        ("handlers", "no handler runs it"),
        ("guide", "the guide for other workers does not name it"),
        ("scenarios", "no scenario puts it on the bus"),
        ("types", "there is no such type"),
    ],
)
def test_type_that_somebody_forgets_is_told(lost: str, said: str) -> None:
    whole = known()

    told = {name: list(gaps(forgotten(whole, lost, name))) for name in SCENARIOS}

    assert told == {name: [f"{name}: {said}"] for name in SCENARIOS}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (("pause", _REJECTED), "does not say pause"),
        (("advance", _WHOLE), "no actor knows the word advance"),
        (("pause", _WHOLE.removesuffix("_back")), "no scenario puts it on the bus"),
    ],
)
def test_scenario_that_makes_no_command_of_the_type_is_told(told: tuple[str, str], said: str) -> None:
    broken = replace(known(), scenarios={**SCENARIOS, "pause_managed_asset": told})

    assert [gap for gap in gaps(broken) if said in gap] != []
    assert len(list(gaps(broken))) == 1
