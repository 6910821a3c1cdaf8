"""The planted bugs, one module per part of the stack."""

from tests.planted_bugs.bug import PlantedBug
from tests.planted_bugs.bugs_bot_exchange import BUGS as BOT_EXCHANGE_BUGS
from tests.planted_bugs.bugs_bus import BUGS as BUS_BUGS
from tests.planted_bugs.bugs_claim import BUGS as CLAIM_BUGS
from tests.planted_bugs.bugs_clicks import BUGS as CLICK_BUGS
from tests.planted_bugs.bugs_command_line import BUGS as COMMAND_LINE_BUGS
from tests.planted_bugs.bugs_commits import BUGS as COMMIT_BUGS
from tests.planted_bugs.bugs_crashes import BUGS as CRASH_BUGS
from tests.planted_bugs.bugs_database import BUGS as DATABASE_BUGS
from tests.planted_bugs.bugs_envelope import BUGS as ENVELOPE_BUGS
from tests.planted_bugs.bugs_exchange import BUGS as EXCHANGE_BUGS
from tests.planted_bugs.bugs_files import BUGS as FILE_BUGS
from tests.planted_bugs.bugs_guard import BUGS as GUARD_BUGS
from tests.planted_bugs.bugs_guard_mistaken import BUGS as MISTAKEN_GUARD_BUGS
from tests.planted_bugs.bugs_kill_points import BUGS as KILL_POINT_BUGS
from tests.planted_bugs.bugs_limits import BUGS as LIMIT_BUGS
from tests.planted_bugs.bugs_managed_approvals import BUGS as MANAGED_APPROVAL_BUGS
from tests.planted_bugs.bugs_managed_faults import BUGS as MANAGED_FAULT_BUGS
from tests.planted_bugs.bugs_managed_moves import BUGS as MANAGED_MOVE_BUGS
from tests.planted_bugs.bugs_managed_put_back import BUGS as MANAGED_PUT_BACK_BUGS
from tests.planted_bugs.bugs_managed_rules import BUGS as MANAGED_RULE_BUGS
from tests.planted_bugs.bugs_managed_words import BUGS as MANAGED_WORD_BUGS
from tests.planted_bugs.bugs_payload import BUGS as PAYLOAD_BUGS
from tests.planted_bugs.bugs_races import BUGS as RACE_BUGS
from tests.planted_bugs.bugs_requester import BUGS as REQUESTER_BUGS
from tests.planted_bugs.bugs_rules import BUGS as RULE_BUGS
from tests.planted_bugs.bugs_services import BUGS as SERVICE_BUGS
from tests.planted_bugs.bugs_start import BUGS as START_BUGS
from tests.planted_bugs.bugs_sweep import BUGS as SWEEP_BUGS

BUGS: tuple[PlantedBug, ...] = (
    *RULE_BUGS,
    *MANAGED_RULE_BUGS,
    *MANAGED_APPROVAL_BUGS,
    *MANAGED_MOVE_BUGS,
    *MANAGED_FAULT_BUGS,
    *MANAGED_PUT_BACK_BUGS,
    *MANAGED_WORD_BUGS,
    *SWEEP_BUGS,
    *REQUESTER_BUGS,
    *PAYLOAD_BUGS,
    *ENVELOPE_BUGS,
    *LIMIT_BUGS,
    *SERVICE_BUGS,
    *CLICK_BUGS,
    *BUS_BUGS,
    *CLAIM_BUGS,
    *COMMIT_BUGS,
    *FILE_BUGS,
    *EXCHANGE_BUGS,
    *KILL_POINT_BUGS,
    *CRASH_BUGS,
    *DATABASE_BUGS,
    *START_BUGS,
    *GUARD_BUGS,
    *MISTAKEN_GUARD_BUGS,
    *COMMAND_LINE_BUGS,
    *RACE_BUGS,
    *BOT_EXCHANGE_BUGS,
)
"""Every planted bug."""
