"""Bugs in how proposals are requested and decided, in services and handlers. Source: contract §6, §7, §8."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_SCENARIOS = "sim/scenarios/approvals"
_DECISION = f"{_SCENARIOS}/test_one_decision.py"
_STALE = f"{_SCENARIOS}/test_stale_page.py"
_CONFIRM = f"{_SCENARIOS}/test_hard_confirm.py"
_CONFIDENCE = f"{_SCENARIOS}/test_confidence.py"
_TWICE = f"{_SCENARIOS}/test_request_twice.py"
_BASIS = f"{_SCENARIOS}/test_request_basis.py"
_PROMOTE = f"{_SCENARIOS}/test_promote_dry_run.py"

_APPROVE = "worker/handlers/approve_proposal.py"
_REQUEST = "worker/handlers/request_proposal.py"
_JUDGEMENT = "worker/handlers/proposal_judgement.py"
_SERVICE = "worker/services/proposals.py"
_GUARD = "worker/guards/decisions.py"

_MOVED = "managed_state.json"
"""What the witness names when a refused command touched the files after all."""


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

BUGS: tuple[PlantedBug, ...] = (*_DECISIONS, *_REQUESTS)
