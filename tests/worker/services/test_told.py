"""What a refusal shows of what was given: its kind or its size, and never the thing itself, which may be a secret."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, REFERENCE_PROFILE, VIEWER, Outside
from tests.worker.services.managed import proposal_of, propose
from worker.contracts.errors import Refusal
from worker.contracts.managed_errors import HardConfirmMismatch
from worker.services.apply_profile import ApplyProfileService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService


@pytest.mark.parametrize(
    ("asset", "told"),
    [
        ("hunter2 " * 10, "80 other characters"),
        ("", "0 other characters"),
        (7, "a int"),
        (["hunter2"], "a list"),
        (None, "a NoneType"),
    ],
)
def test_what_is_no_asset_is_told_by_its_length_or_kind(
    engine: Engine, outside: Outside, asset: Any, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command(asset, ADMIN)
    assert refused.value.message == (
        f"expected an asset of the baseline (2 to 32 capital letters or digits), found {told}; choose one"
    )


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ("hunter2", "user must be the id of a user, found a str; sign in again"),
        (None, "user must be the id of a user, found a NoneType; sign in again"),
        (True, "user must be the id of a user, found a bool; sign in again"),
        (99, "user 99 does not exist; sign in again"),
        (VIEWER, f"user {VIEWER} has role viewer, expected admin; ask an admin to do it"),
    ],
)
def test_who_may_not_is_told_by_kind_id_or_role(engine: Engine, outside: Outside, user: Any, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command("ETH", user)
    assert refused.value.message == told


def test_exchange_connection_is_told_by_its_kind(engine: Engine, outside: Outside) -> None:
    outside.add_profile(REFERENCE_PROFILE)
    with pytest.raises(Refusal) as refused:
        ApplyProfileService(engine).create_dry_run_command(REFERENCE_PROFILE, ADMIN, exchange_connection_id=uuid4())
    assert refused.value.message == "exchange_connection_id must be null, found a UUID; leave it out"


@pytest.mark.parametrize(
    ("environment", "told"), [("mainnet", "'mainnet'"), ("hunter2 " * 3, "a str"), (None, "a NoneType")]
)
def test_environment_is_told_where_it_is_no_longer_than_the_name_of_one(
    engine: Engine, environment: Any, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command("ETH", ADMIN, environment=environment)
    assert refused.value.message == f"environment is fixed to 'testnet', found {told}; leave the argument out"


@pytest.mark.parametrize(("typed", "found"), [(None, ""), (True, ""), ("eth", "eth")])
def test_confirmation_that_is_no_text_counts_as_nothing_typed(
    engine: Engine, outside: Outside, typed: Any, found: str
) -> None:
    proposal_id = propose(outside, proposal_of())
    with pytest.raises(HardConfirmMismatch) as refused:
        ProposalService(engine).create_approve_command(proposal_id, ADMIN, "balanced", None, typed)
    assert refused.value.found == found
