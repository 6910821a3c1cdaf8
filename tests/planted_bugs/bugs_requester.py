"""Bugs in who may stand behind a command when it runs (contract §6, asked anew by the handlers, §7)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_CLAIM = "contract §6: the user must be an admin, checked anew by the handler (§7)"
_ROLE = "sim/scenarios/guards/test_lost_role.py"
_LOST = f"{_ROLE}::test_command_of_an_operator_who_lost_the_role_since_the_click_changes_nothing"
_SUCCEEDED = "'succeeded'"
_MOVED = "state/managed_state.json"

BUGS: tuple[PlantedBug, ...] = (
    one_edit(
        "managed handlers do not ask who requested",
        claim=_CLAIM,
        file="worker/handlers/managed_flow.py",
        old="            self.require_requester(assignment, payload)\n",
        new="",
        scenario=f"{_LOST}[pause]",
        says=_MOVED,
    ),
    one_edit(
        "dry run of a promotion does not ask who requested",
        claim=_CLAIM,
        file="worker/handlers/promote_dry_run.py",
        old="            require_requester(assignment)\n",
        new="",
        scenario=f"{_LOST}[promote]",
        says=_SUCCEEDED,
    ),
    one_edit(
        "dry run of a profile does not ask who requested",
        claim=_CLAIM,
        file="worker/handlers/apply_profile.py",
        old="        require_admin_role(command.requested_by, requesters_role)\n",
        new="",
        scenario=f"{_LOST}[apply profile]",
        says=_SUCCEEDED,
    ),
    one_edit(
        "baseline does not ask who requested",
        claim=_CLAIM,
        file="worker/handlers/apply_baseline.py",
        old="                require_requester(assignment)\n",
        new="",
        scenario=f"{_LOST}[apply baseline]",
        says="state/baseline_holdings.json",
    ),
    one_edit(
        "any user who exists may command",
        claim=_CLAIM,
        file="worker/guards/requester.py",
        old="    if role is not UserRole.ADMIN:\n",
        new="    if not isinstance(role, UserRole):\n",
        scenario=f"{_LOST}[approve]",
        says=_MOVED,
    ),
    one_edit(
        "nobody's commands alone run",
        claim="contract §6: an admin's commands run",
        file="worker/guards/requester.py",
        old="    if role is not UserRole.ADMIN:\n",
        new="    if role is not None:\n",
        scenario=f"{_ROLE}::test_command_of_an_operator_who_has_the_role_again_runs[release]",
        says="user_not_allowed",
    ),
    one_edit(
        "anybody's drift flag is the bot's",
        claim="contract §6: a drift flag has no user, checked anew by the handler (§7)",
        file="worker/handlers/flag_drift.py",
        old="        require_no_requester(assignment, payload.requested_by)\n",
        new="        del assignment, payload\n",
        scenario=f"{_ROLE}::test_drift_flag_in_the_name_of_a_user_is_refused_and_the_bots_own_is_taken",
        says="state/managed_state.json",
    ),
)
