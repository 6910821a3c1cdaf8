"""Bugs on the way from a click on managed holdings to the files: decisions, requests, moves, terms, words."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_SCENARIOS = "sim/scenarios/approvals"
_DECISION = f"{_SCENARIOS}/test_one_decision.py"
_STALE = f"{_SCENARIOS}/test_stale_page.py"
_CONFIRM = f"{_SCENARIOS}/test_hard_confirm.py"
_CONFIDENCE = f"{_SCENARIOS}/test_confidence.py"
_MOVES = f"{_SCENARIOS}/test_moves.py"
_RELEASES = f"{_SCENARIOS}/test_release.py"
_TWICE = f"{_SCENARIOS}/test_request_twice.py"
_BASIS = f"{_SCENARIOS}/test_request_basis.py"
_TERMS = f"{_SCENARIOS}/test_terms.py"
_PROMOTE = f"{_SCENARIOS}/test_promote_dry_run.py"
_WORDS = "sim/scenarios/guards/test_secrets_in_words.py"

_APPROVE = "worker/handlers/approve_proposal.py"
_REQUEST = "worker/handlers/request_proposal.py"
_RELEASE = "worker/handlers/release_asset.py"
_JUDGEMENT = "worker/handlers/proposal_judgement.py"
_SERVICE = "worker/services/proposals.py"
_GUARD = "worker/guards/decisions.py"
_TABLE = "worker/contracts/transitions.py"

_MOVED = "managed_state.json"
"""What the witness names when a refused command touched the files after all."""

_FORBIDDEN = f"{_MOVES}::test_moves_that_the_table_lacks_are_refused_twice"
_MADE = f"{_MOVES}::test_move_of_the_table_is_made"

_DECISIONS = (
    one_edit(
        "each kind of decision has a key of its own",
        claim="contract §6: mh:decide:<proposal_id>, the same key, so one decision wins",
        file=_SERVICE,
        old="        key_of=lambda _checksum: _decision_key(proposal.proposal_id),",
        new="        key_of=lambda _checksum: f'{_decision_key(proposal.proposal_id)}:{command_type.value}',",
        scenario=f"{_DECISION}::test_second_decision_is_refused_and_names_the_first[approve-reject]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "decision for whatever proposal the asset stands under",
        claim="contract §6: approve of a superseded proposal from a stale page (R4)",
        file=_JUDGEMENT,
        old="    if entry.state is not ManagedState.RISK_PROPOSED or entry.proposal_id != proposal_id:",
        new="    if entry.state is not ManagedState.RISK_PROPOSED:",
        scenario=f"{_STALE}::test_rejected_proposal_is_not_approved_through_its_successor",
        says=_MOVED,
    ),
    one_edit(
        "worker decides under another asset's proposal",
        claim="contract §7: the handler trusts nothing that a service checked",
        file=_JUDGEMENT,
        old="    if proposal.asset != asset:",
        new="    if not asset:",
        scenario=f"{_PROMOTE}::test_promotion_of_what_is_not_there_is_refused_twice",
        says="PROPOSAL_NOT_FOUND",
    ),
    PlantedBug(
        name="service without an expiry check",
        claim="contract §6: not past expires_at, else ProposalExpired",
        edits=(
            Edit(
                file=_SERVICE,
                old="    if is_expired(now, row.expires_at):\n        raise ProposalExpired(",
                new="    if is_expired(now, None):\n        raise ProposalExpired(",
            ),
            Edit(file=_SERVICE, old="    require_unexpired_proposal(proposal, now)\n", new=""),
        ),
        scenarios=(f"{_STALE}::test_page_of_a_proposal_that_expired_unswept_decides_nothing",),
        says="DID NOT RAISE",
    ),
    one_edit(
        "worker without an expiry check of its own",
        claim="contract §8: the proposal file's expires_at decides, when the command runs",
        file=_JUDGEMENT,
        old="    require_unexpired_proposal(proposal, assignment.now)\n    return proposal\n",
        new="    return proposal\n",
        scenario=f"{_STALE}::test_proposal_that_expires_while_its_decision_is_at_work_is_not_decided"
        "[approve_managed_proposal]",
        says=_MOVED,
    ),
    one_edit(
        "expiry instant still in time",
        claim="contract §4: expired means now() >= expires_at",
        file="worker/guards/freshness.py",
        old="    return now >= expires_at",
        new="    return now > expires_at",
        scenario=f"{_STALE}::test_page_of_a_proposal_that_expired_unswept_decides_nothing",
        says="DID NOT RAISE",
    ),
    one_edit(
        "worker takes a confirmation in any letters",
        claim="contract §6: hard_confirm is exactly <asset>:<variant> (SR-12), checked anew by the handler (§7)",
        file=_APPROVE,
        old="            hard_confirm=payload.hard_confirm,",
        new="            hard_confirm=payload.hard_confirm.lower().replace(payload.asset.lower(), payload.asset),",
        scenario=f"{_CONFIRM}::test_worker_takes_nothing_but_the_exact_text",
        says=_MOVED,
    ),
    one_edit(
        "confirmation with spaces around it",
        claim="contract §6: hard_confirm is exactly <asset>:<variant>",
        file=_GUARD,
        old="    if hard_confirm != expected:",
        new="    if hard_confirm.strip() != expected:",
        scenario=f"{_CONFIRM}::test_page_takes_nothing_but_the_exact_text",
        says="DID NOT RAISE",
    ),
    one_edit(
        "confirmation in letters that look alike",
        claim="contract §6: hard_confirm is exactly <asset>:<variant>",
        file=_GUARD,
        old="    if hard_confirm != expected:",
        new='    import unicodedata\n    if unicodedata.normalize("NFKC", hard_confirm) != expected:',
        scenario=f"{_CONFIRM}::test_page_takes_nothing_but_the_exact_text",
        says="DID NOT RAISE",
    ),
    one_edit(
        "worker without a confidence check",
        claim="contract §6, §7: a confidence below 0.50 needs the override (R6)",
        file=_APPROVE,
        old="            confidence_override=payload.confidence_override,",
        new="            confidence_override=True,",
        scenario=f"{_CONFIDENCE}::test_worker_asks_for_the_override_itself",
        says=_MOVED,
    ),
    one_edit(
        "confidence of half is too little",
        claim="contract §6: confidence.overall_score < 0.50 needs the override",
        file=_GUARD,
        old="    if score < MIN_CONFIDENCE and",
        new="    if score <= MIN_CONFIDENCE and",
        scenario=f"{_CONFIDENCE}::test_proposal_trusted_just_enough_needs_no_override[half a day old]",
        says="confidence_override_required",
    ),
    one_edit(
        "confidence just below half is enough",
        claim="contract §6: confidence.overall_score < 0.50 needs the override",
        file=_GUARD,
        old='MIN_CONFIDENCE = Decimal("0.50")',
        new='MIN_CONFIDENCE = Decimal("0.4999")',
        scenario=f"{_CONFIDENCE}::test_doubtful_proposal_is_approved_only_with_the_override[older than half a day]",
        says="DID NOT RAISE",
    ),
)

_REQUESTS = (
    one_edit(
        "request looks at the baseline without its lock",
        claim="contract §6: SELECT … FOR UPDATE serialises requests for one asset",
        file="worker/db/baseline_store.py",
        old=".with_for_update()",
        new="",
        scenario=f"{_TWICE}::test_two_requests_at_the_same_time_leave_one_open_proposal",
        says="assert 2 == 1",
    ),
    one_edit(
        "request beside an open proposal",
        claim="contract §6: no proposal proposal_pending or risk_proposed, else ProposalAlreadyOpen",
        file=_SERVICE,
        old="    elif other.proposal_id != proposal_id:\n",
        new="    elif other.proposal_id is None:\n",
        scenario=f"{_TWICE}::test_second_operator_is_told_of_the_open_proposal",
        says="DID NOT RAISE",
    ),
    one_edit(
        "double click on request is a second request",
        claim="contract §6: proposal_id = UUIDv5 of asset and click",
        file=_SERVICE,
        old="    elif other.proposal_id != proposal_id:\n",
        new="    else:\n",
        scenario=f"{_TWICE}::test_double_click_is_one_request_before_and_after_the_worker_ran",
        says="proposal_already_open",
    ),
    one_edit(
        "failed request leaves its proposal open",
        claim="contract §8: a request command that fails ends its proposal as expired",
        file=_REQUEST,
        old="        return lambda connection: expire_requested(connection, command_id=command.command_id)",
        new="        return None",
        scenario=f"{_BASIS}::"
        "test_request_without_a_basis_fails_and_can_be_made_again_once_there_is_one[no market snapshot]",
        says="PROPOSAL_PENDING",
    ),
    one_edit(
        "first of several active profiles is taken",
        claim="a proposal is made by the one active profile",
        file="worker/handlers/active_profile.py",
        old="    if len(active) > 1:",
        new="    if len(active) > 2:",
        scenario=f"{_BASIS}::"
        "test_request_without_a_basis_fails_and_can_be_made_again_once_there_is_one[two active profiles]",
        says=_MOVED,
    ),
    one_edit(
        "closes that never move make a volatility",
        claim="contract §8: too little market data never invents numbers",
        file="worker/risk/engine.py",
        old='    if volatility == 0:\n        raise _insufficient(asset, "daily closes that move",',
        new="    volatility = volatility or VOLATILITY_STEP\n    if volatility == 0:\n"
        '        raise _insufficient(asset, "daily closes that move",',
        scenario=f"{_BASIS}::"
        "test_request_without_a_basis_fails_and_can_be_made_again_once_there_is_one[closes that never move]",
        says=_MOVED,
    ),
)

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
        old="    if not chosen.meets_minimum:",
        new="    if chosen.meets_minimum is None:",
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

BUGS: tuple[PlantedBug, ...] = (*_DECISIONS, *_REQUESTS, *_TERMS_AND_LIMITS, *_ASSET_MOVES, *_CACHE, *_WORDS_KEPT)
