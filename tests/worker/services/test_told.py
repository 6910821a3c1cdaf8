"""What a refusal shows of what was given: its kind or its size, and never the thing itself, which may be a secret."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, REFERENCE_PROFILE, Outside
from tests.worker.services.managed import proposal_of, propose
from worker.contracts.errors import Refusal
from worker.contracts.managed_errors import HardConfirmMismatch
from worker.services.apply_profile import ApplyProfileService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService


@pytest.mark.parametrize(
    ("asset", "told"), [("hunter2 " * 10, "80"), ("", "0"), (7, "int"), (["hunter2"], "list"), (None, "NoneType")]
)
def test_what_is_no_asset_is_told_by_its_length_or_kind(
    engine: Engine, outside: Outside, asset: Any, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command(asset, ADMIN)
    assert told in refused.value.message.split("found", 1)[1].replace(";", "").split()
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(("user", "told"), [("hunter2", "str"), (None, "NoneType"), (True, "bool")])
def test_what_is_no_user_is_told_by_its_kind(engine: Engine, outside: Outside, user: Any, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command("ETH", user)
    assert told in refused.value.message.replace(";", "").split()
    assert "hunter2" not in refused.value.message


def test_exchange_connection_is_told_by_its_kind(engine: Engine, outside: Outside) -> None:
    outside.add_profile(REFERENCE_PROFILE)
    connection_id = uuid4()
    with pytest.raises(Refusal) as refused:
        ApplyProfileService(engine).create_dry_run_command(
            REFERENCE_PROFILE, ADMIN, exchange_connection_id=connection_id
        )
    assert "UUID" in refused.value.message.replace(";", "").split()
    assert str(connection_id) not in refused.value.message


@pytest.mark.parametrize(
    ("environment", "told"), [("mainnet", "'mainnet'"), ("hunter2 " * 3, "str"), (None, "NoneType")]
)
def test_environment_is_told_where_it_is_no_longer_than_the_name_of_one(
    engine: Engine, environment: Any, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        ManagedStateService(engine).create_pause_command("ETH", ADMIN, environment=environment)
    assert told in refused.value.message.replace(";", "").split()
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(("typed", "found"), [(None, ""), (True, ""), ("eth", "eth")])
def test_confirmation_that_is_no_text_counts_as_nothing_typed(
    engine: Engine, outside: Outside, typed: Any, found: str
) -> None:
    proposal_id = propose(outside, proposal_of())
    with pytest.raises(HardConfirmMismatch) as refused:
        ProposalService(engine).create_approve_command(proposal_id, ADMIN, "balanced", None, typed)
    assert refused.value.found == found
