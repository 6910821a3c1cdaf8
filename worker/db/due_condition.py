"""Which proposals a sweep must settle, as SQL for the claim and for the store of proposals. Source: contract §8."""

# A request that came to nothing leaves no more than a pending row; asked of each open one, the look at its request
# would cost the claim several microseconds per proposal.
WITHOUT_REQUEST = """
    p.state = 'proposal_pending' AND EXISTS (
        SELECT 1 FROM commands AS request
        WHERE request.idempotency_key = 'mh:request:' || p.proposal_id::text
          AND request.status IN ('failed', 'expired', 'cancelled'))
"""
"""True of a row `p` of `managed_proposals` whose request failed, expired or was cancelled. Parameters: none."""

_OPEN = "p.state IN ('proposal_pending', 'risk_proposed') AND p.decided_at IS NULL"

MAY_BE_DUE = f"""
    {_OPEN} AND (p.expires_at <= timezone('UTC', now()) OR p.state = 'proposal_pending')
"""
"""True of every row `p` for which `DUE_CONDITION` is, and of a few more: a request still under way is one. Parameters:
none. It looks at no other table, so that a claim can ask it in passing."""

DUE_CONDITION = f"""
    {_OPEN}
    AND (p.expires_at <= (SELECT timezone('UTC', now())) OR ({WITHOUT_REQUEST}))
    AND NOT EXISTS (
        SELECT 1 FROM commands AS active WHERE active.subject = p.asset AND active.status IN ('claimed', 'running'))
"""
"""True of a row `p` of `managed_proposals` that a sweep must settle: open, too late or its request came to nothing, and
no command of its asset at work, which would judge it itself. Parameters: none. Where something may be due, the claim
asks it in its own statement."""
