"""Files put back from a backup that is older than the database, as tests of the worker need them."""

from uuid import UUID

from tests.worker.managed_worlds import MINUTE, World
from worker.bus.sweep import restore_lost_rows

DRIFT, EXPIRED = "managed.cache_drift_detected", "managed.reopened_proposal_expired"
MOVES = [("risk_proposed", "expired"), ("expired", "frozen")]


def pair(world: World) -> tuple[bytes, bytes]:
    return world.home.baseline_holdings.read_bytes(), world.home.managed_state.read_bytes()


def put_back(world: World, files: tuple[bytes, bytes]) -> None:
    """Effects: both files as they were, under new inodes."""
    for path, content in zip((world.home.baseline_holdings, world.home.managed_state), files, strict=True):
        path.unlink()
        path.write_bytes(content)


def reopened(world: World, decide: str, asset: str = "ETH") -> UUID:
    """The decided proposal that the files open again."""
    proposal_id = world.proposed(asset)
    backup = pair(world)
    world.approve(proposal_id, asset=asset) if decide == "approve" else world.reject(proposal_id)
    world.run()
    put_back(world, backup)
    return proposal_id


def two_reopened_and_due(world: World) -> list[UUID]:
    """The rejected proposals of BTC and ETH that the files open again; their time is over, and the worker knows."""
    proposals = [world.proposed(asset) for asset in ("BTC", "ETH")]
    backup = pair(world)
    for proposal_id in proposals:
        world.reject(proposal_id)
    world.run()
    put_back(world, backup)
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    return proposals


def expired_and_reopened(world: World) -> UUID:
    """The proposal that expired in its time, and that the files open again."""
    proposal_id = world.proposed()
    backup = pair(world)
    world.advance(15 * MINUTE)
    world.run()
    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "expired")
    put_back(world, backup)
    return proposal_id
