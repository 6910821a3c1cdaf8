"""What must hold of rows and files at any moment, also right after a worker was killed and before another one came.

Rules that ask what becomes of a change in the end are asked later; these are about what nobody may ever see.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sim.rules import general, managed, mh4
from sim.rules.breach import Breach, Rule
from sim.stack import evidence, evidence_managed
from sim.stack.rows import Rows
from sim.timeline import Timeline
from worker.readers.home import Home

AT_ANY_MOMENT: tuple[Rule, ...] = (
    mh4.environment_other_than_testnet,
    managed.proposal_decided_twice,
    general.two_winners_for_one_decision,
    managed.illegal_managed_move,
    managed.state_outside_the_ten,
    general.illegal_status_move,
    mh4.decision_without_its_key,
    mh4.audit_prefix_bleed,
    general.command_without_requested_event,
)

FILES = "files_of_a_wreck"


def breaches_of_wreck(timeline: Timeline, rows: Rows, home: Path, at: datetime) -> tuple[Breach, ...]:
    """What does not hold now. Effects: none; the timeline is as it was."""
    length = len(timeline)
    evidence.read_tables(timeline, rows, at)
    evidence_managed.read_managed(timeline, home)
    found = [breach for rule in AT_ANY_MOMENT for breach in rule(timeline)]
    timeline.rewind(length)
    return (*found, *_of_files(Home(home)))


def _of_files(home: Home) -> Iterator[Breach]:
    """Each file is whole, and one of the two is new without the other only while an intent stands."""
    found = {path: _document(path) for path in (home.baseline_holdings, home.managed_state)}
    written = sorted(path for path in home.risk_proposals.glob("[!.]*.json"))
    for path in (*found, home.intent, *written):
        if _document(path) == "damaged":
            yield _breach(path, "whole or absent", "damaged")
    generations = {path: one.get("generation") if isinstance(one, dict) else one for path, one in found.items()}
    if len(set(generations.values())) > 1 and not home.intent.exists():
        told = ", ".join(f"{path.name} {generation}" for path, generation in generations.items())
        yield _breach(home.state, "both of one generation, or an intent stands", told)


def _document(path: Path) -> "dict[str, Any] | str | None":
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return "damaged"
    return found if isinstance(found, dict) else "damaged"


def _breach(path: Path, expected: str, found: str) -> Breach:
    return Breach(rule=FILES, actor="a killed worker", subject=path.name, before=expected, after=found)
