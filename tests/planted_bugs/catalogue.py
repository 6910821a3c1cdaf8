"""The planted bugs, one module per part of the stack."""

from tests.planted_bugs.bug import PlantedBug
from tests.planted_bugs.bugs_rules import BUGS as RULE_BUGS

BUGS: tuple[PlantedBug, ...] = RULE_BUGS
