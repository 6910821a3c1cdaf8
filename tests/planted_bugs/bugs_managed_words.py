"""Bugs in who knows the ten states (R2), and in the words under which the trail tells of managed holdings (R7)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_STATES = "sim/scenarios/approvals/test_same_states_everywhere.py"
_WORDS = "sim/scenarios/approvals/test_audit_words.py"
_PARITY = "worker/contracts/state_parity.py"
_DIFFERS = f"{_STATES}::test_list_that_differs_is_told_where"
_SAME_STATES = "contract §8: the database, the reader and the GUI know the same ten states (R2)"
_PREFIX = "contract §6: every managed audit event begins with managed. (R7)"

_PARITIES = (
    one_edit(
        "foreign states in any letters are ours",
        claim=_SAME_STATES,
        file=_PARITY,
        old="    found = Counter(exported)\n",
        new="    found = Counter(state.lower() for state in exported)\n",
        scenario=f"{_DIFFERS}[other letters]",
        says="lacks frozen",
    ),
    one_edit(
        "state that only the foreign list has is overlooked",
        claim=_SAME_STATES,
        file=_PARITY,
        old="for state in found if state not in known]",
        new="for state in found if not state]",
        scenario=f"{_DIFFERS}[one more]",
        says="halted",
    ),
    one_edit(
        "state that the foreign list lacks is overlooked",
        claim=_SAME_STATES,
        file=_PARITY,
        old="for state in ManagedState if state.value not in found]",
        new="for state in ManagedState if not state.value]",
        scenario=f"{_DIFFERS}[one is missing]",
        says="lacks paused",
    ),
    PlantedBug(
        name="database takes an eleventh state",
        claim=_SAME_STATES,
        edits=(
            Edit(
                file="worker/db/migrations/versions/r0002_managed_holdings.py",
                old='sa.CheckConstraint(f"state::text IN {_STATES}", ',
                new="sa.CheckConstraint(f\"state::text IN {_STATES} OR state = 'halted'\", ",
            ),
        ),
        scenarios=(f"{_STATES}::test_database_takes_every_state_and_no_other",),
        says="DID NOT RAISE",
        builds_database=True,
    ),
)

_TRAIL = (
    one_edit(
        "refused managed command is told under its type",
        claim=_PREFIX,
        file="worker/handlers/managed_flow.py",
        old='        event = AuditRow(event_type=self._event("failed"),',
        new='        event = AuditRow(event_type=f"{self.command_type.value}.failed",',
        scenario=f"{_WORDS}::test_managed_commands_that_fail_are_told_under_the_managed_prefix",
        says="managed_asset.failed",
    ),
    one_edit(
        "expiry is told under another prefix",
        claim=_PREFIX,
        file="worker/handlers/expire_proposals.py",
        old='EXPIRED_EVENT = "managed.proposal_expired"',
        new='EXPIRED_EVENT = "proposal.expired"',
        scenario=f"{_WORDS}::test_expiry_is_told_as_the_workers_own_without_a_command",
        says="not enough values to unpack",
    ),
    one_edit(
        "cancelled managed command is told without a prefix",
        claim=_PREFIX,
        file="worker/services/commands.py",
        old='    return f"{spec.audit_prefix}.command_cancelled"',
        new='    return "command_cancelled"',
        scenario=f"{_WORDS}::test_trail_of_a_day_keeps_each_family_under_its_own_prefix",
        says="command_cancelled",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_PARITIES, *_TRAIL)
