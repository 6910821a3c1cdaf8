"""Bugs in what becomes of managed assets: terms and limits, moves, what a release freezes, which words are kept."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_SCENARIOS = "sim/scenarios/approvals"
_MOVES = f"{_SCENARIOS}/test_moves.py"
_RELEASES = f"{_SCENARIOS}/test_release.py"
_TERMS = f"{_SCENARIOS}/test_terms.py"
_WORDS = "sim/scenarios/guards/test_secrets_in_words.py"

_APPROVE = "worker/handlers/approve_proposal.py"
_REQUEST = "worker/handlers/request_proposal.py"
_RELEASE = "worker/handlers/release_asset.py"
_GUARD = "worker/guards/decisions.py"
_TABLE = "worker/contracts/transitions.py"

_MOVED = "managed_state.json"
"""What the witness names when a refused command touched the files after all."""

_FORBIDDEN = f"{_MOVES}::test_moves_that_the_table_lacks_are_refused_twice"
_MADE = f"{_MOVES}::test_move_of_the_table_is_made"

_TERMS_AND_LIMITS = (
    one_edit(
        "overrides are not taken over",
        claim="an asset is managed on the approved terms",
        file=_APPROVE,
        old="**effective_terms(variant, payload.overrides)",
        new="**effective_terms(variant, {})",
        scenario=f"{_TERMS}::test_asset_is_managed_on_exactly_the_approved_terms[all lower]",
        says="allocation_pct",
    ),
    one_edit(
        "terms are not set",
        claim="an asset is managed on the approved terms, which stand in managed_state.json",
        file=_APPROVE,
        old="                proposal_id=proposal.proposal_id,\n                terms=terms,\n",
        new="                proposal_id=proposal.proposal_id,\n",
        scenario=f"{_TERMS}::test_asset_is_managed_on_exactly_the_approved_terms[all lower]",
        says="ETH is managed without terms",
    ),
    one_edit(
        "worker looks at no override",
        claim="contract §7: the handler trusts nothing that a service checked",
        file=_APPROVE,
        old="            overrides=payload.overrides,",
        new="            overrides={},",
        scenario=f"{_TERMS}::test_override_that_risks_more_is_refused_twice",
        says=_MOVED,
    ),
    one_edit(
        "stop further away than proposed",
        claim="an approval puts no more at risk than its variant",
        file=_GUARD,
        old='_LOWER_ONLY = frozenset({"allocation_pct", "stop_loss_pct"})',
        new='_LOWER_ONLY = frozenset({"allocation_pct"})',
        scenario=f"{_TERMS}::test_override_that_risks_more_is_refused_twice",
        says="DID NOT RAISE",
    ),
    one_edit(
        "one position more than the profile allows",
        claim="an approval keeps max_open_positions as it is now",
        file=_APPROVE,
        old="    if managed >= limit:",
        new="    if managed > limit:",
        scenario=f"{_TERMS}::test_approval_beyond_the_limit_of_positions_fails_and_at_the_limit_runs",
        says=_MOVED,
    ),
    one_edit(
        "approval under an archived profile",
        claim="an approval needs its proposal's profile to be active still",
        file="worker/handlers/active_profile.py",
        old="    if profile is None or profile.status is not ProfileStatus.ACTIVE:",
        new="    if profile is None:",
        scenario=f"{_TERMS}::test_approval_of_a_proposal_whose_profile_was_archived_fails",
        says=_MOVED,
    ),
    one_edit(
        "position below the minimum",
        claim="min_position_value_usdt is never undercut",
        file=_GUARD,
        old="    if not variant.meets_minimum or value < minimum:",
        new="    if variant.meets_minimum is None:",
        scenario=f"{_TERMS}::test_variant_below_the_smallest_position_is_refused_twice_and_a_larger_one_runs",
        says="DID NOT RAISE",
    ),
)

_ASSET_MOVES = (
    PlantedBug(
        name="worker pauses from any state",
        claim="contract §7: the handler trusts nothing that a service checked",
        edits=(
            Edit(
                file="worker/handlers/pause_resume.py",
                old="    path: AssetPath = require_path(standing.asset, entry.state, verb)\n",
                new="    path: AssetPath = PATHS[verb]\n",
            ),
            Edit(
                file="worker/handlers/pause_resume.py",
                old="import AssetPath, require_path\n",
                new="import PATHS, AssetPath\n",
            ),
        ),
        scenarios=(f"{_FORBIDDEN}[paused]",),
        says=_MOVED,
    ),
    PlantedBug(
        name="worker releases from any state",
        claim="contract §7: the handler trusts nothing that a service checked",
        edits=(
            Edit(
                file=_RELEASE,
                old="        path = require_path(standing.asset, entry.state, self.verb)\n",
                new="        path = PATHS[self.verb]\n",
            ),
            Edit(file=_RELEASE, old="import require_path\n", new="import PATHS\n"),
        ),
        scenarios=(f"{_FORBIDDEN}[frozen]",),
        says=_MOVED,
    ),
    one_edit(
        "service moves an asset from any state",
        claim="contract §6: asset in the right state",
        file="worker/services/managed_state.py",
        old="    require_path(asset, state, verb)\n",
        new="",
        scenario=f"{_FORBIDDEN}[managed_active]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "drift flagged again while it is flagged",
        claim="contract §8: managed_active | paused → drift_flagged",
        file=_TABLE,
        old="FLAG_DRIFT = AssetPath(begins_in=frozenset({S.MANAGED_ACTIVE, S.PAUSED}),",
        new="FLAG_DRIFT = AssetPath(begins_in=MANAGED,",
        scenario=f"{_FORBIDDEN}[drift_flagged]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "no way back from a drift flag",
        claim="contract §8: drift_flagged → managed_active, by resume",
        file=_TABLE,
        old="RESUME = AssetPath(begins_in=frozenset({S.PAUSED, S.DRIFT_FLAGGED}),",
        new="RESUME = AssetPath(begins_in=frozenset({S.PAUSED}),",
        scenario=f"{_MADE}[resume-drift_flagged-managed_active]",
        says="state/illegal_transition",
    ),
    one_edit(
        "kept quantity is the recorded one",
        claim="contract §6: keep_frozen freezes the quantity now held",
        file=_RELEASE,
        old="quantity=_held_now(assignment.home, standing.asset) if keeps else holding.quantity,",
        new="quantity=holding.quantity,",
        scenario=f"{_RELEASES}::test_holding_at_the_moment_of_the_release_is_kept_to_the_last_digit",
        says="1.23456789",
    ),
    one_edit(
        "returned quantity is the one now held",
        claim="contract §6: return_to_baseline restores the recorded one",
        file=_RELEASE,
        old="quantity=_held_now(assignment.home, standing.asset) if keeps else holding.quantity,",
        new="quantity=_held_now(assignment.home, standing.asset),",
        scenario=f"{_RELEASES}::"
        "test_holding_that_nobody_knows_is_not_kept_and_can_still_be_returned[only other assets]",
        says="holding_unknown",
    ),
    one_edit(
        "unknown holding kept as it was recorded",
        claim="keep_frozen is refused while nobody knows what is held",
        file=_RELEASE,
        old="quantity=_held_now(assignment.home, standing.asset) if keeps else holding.quantity,",
        new="quantity=_held_now(assignment.home, standing.asset)\n"
        "                if keeps and read_portfolio(assignment.home) is not None else holding.quantity,",
        scenario=f"{_RELEASES}::test_holding_that_nobody_knows_is_not_kept_and_can_still_be_returned[no portfolio]",
        says=_MOVED,
    ),
)

_CACHE = (
    one_edit(
        "lost history is looked for by nobody",
        claim="R10: cache drift is repaired, also where no command can come of it",
        file="worker/bus/sweep.py",
        old=", (find_lagging, restore_cache)):",
        new=", (find_lagging, restore_cache))[:1]:",
        scenario="sim/scenarios/bus/test_migrations.py::"
        "test_asset_under_management_can_still_be_paused_after_its_tables_came_back_empty",
        says="managed_active",
    ),
)

_WORDS_KEPT = (
    one_edit(
        "worker keeps any intent",
        claim="contract §6: no secret reaches the trail (R8), checked anew by the handler (§7)",
        file=_REQUEST,
        old="        require_words(\n            payload.intent,",
        new="        str() or dict(_=\n            payload.intent,",
        scenario=f"{_WORDS}::test_worker_takes_no_intent_and_no_reason_with_a_secret",
        says=_MOVED,
    ),
    one_edit(
        "refusal repeats what was typed",
        claim="contract §6: no secret reaches the trail (R8)",
        file="worker/contracts/managed_errors.py",
        old="found {len(found)} other characters; type it again",
        new="found {found}; type it again",
        scenario=f"{_WORDS}::test_key_in_the_wrong_field_of_an_approval_is_repeated_nowhere",
        says="hunter2",
    ),
    one_edit(
        "refusal repeats unknown overrides",
        claim="contract §6: no secret reaches the trail (R8)",
        file=_GUARD,
        old='f"{unknown} unknown override(s); allowed',
        new='f"{[*overrides]} unknown override(s); allowed',
        scenario=f"{_WORDS}::test_key_in_the_wrong_field_of_an_approval_is_repeated_nowhere",
        says="hunter2",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_TERMS_AND_LIMITS, *_ASSET_MOVES, *_CACHE, *_WORDS_KEPT)
