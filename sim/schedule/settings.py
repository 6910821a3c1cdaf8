"""How much an exploration may do."""

from dataclasses import dataclass

DEFAULT_BUDGET = 20_000

COMPLETE_BUDGET = 10_000_000
"""Runs of an exploration that is to be complete, however long that takes."""

DEFAULT_SAMPLES = 200

AUDIT_SHARE = 200
"""Of so many foretold steps one is run after all, to see that it does what was foretold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`budget` bounds the runs of one exploration. Beyond it the orders that are left are sampled.

    `depth` bounds preemptions, None for none. `seed` is that of the sampled orders, of which `samples` are run by each
    strategy. Of the steps that were foretold at least `audits`, and one of AUDIT_SHARE, are run after all; 0 for none.
    With `foretells` False every step is run. `shard` of `shards` is the part that this process explores. `token` plays
    one order and nothing else.
    """

    budget: int = DEFAULT_BUDGET
    depth: int | None = None
    seed: int = 1
    samples: int = DEFAULT_SAMPLES
    shard: int = 0
    shards: int = 1
    token: str | None = None
    shrinks: bool = True
    audits: int = 5
    foretells: bool = True
