"""A proposal's last moment and the click that approves it come together.

Asked in review: the clock passed the expiry while the approval was between two of its statements; was it taken or not?
Must hold: the approval is either taken or refused as expired, whole; nothing is half written in any order.
"""

from sim.story import OutcomeKind, Reach, Stack, every_interleaving, minutes

WITHIN = Reach(
    "the expiry fell inside the approval's transaction",
    lambda trace: any(
        0 < place < len(trace.taken) - 1 and one.step.verb == "clock" for place, one in enumerate(trace.taken)
    ),
)


@every_interleaving
def test_approval_at_the_moment_of_expiry_is_taken_or_expired(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH", expires_in=minutes(1))
    day = stack.operator("day")
    page = day.open_proposal(proposal)

    with stack.race(reaches=WITHIN) as race:
        approval = race.start(day.approve, page, "balanced")
        race.start(stack.clock.advance, minutes(1), name="clock")

    assert approval.outcome.kind in (OutcomeKind.SUCCEEDED, OutcomeKind.EXPIRED)
    assert len(stack.rows.query("SELECT 1 AS n FROM commands WHERE command_type = 'approve_managed_proposal'")) == (
        approval.outcome.succeeded
    )
