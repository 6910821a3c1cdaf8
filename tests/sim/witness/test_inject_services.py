"""The drift service as a child calls it: each call is told, whether service or sensor was there first."""

from pathlib import Path
from typing import Any

import pytest

from sim.witness.audit import read_log
from tests.sim.witness.children import environment, run_python

REFUSED = """
from decimal import Decimal
from sqlalchemy import create_engine
from worker.services.drift import DriftEvidence, DriftService
service = DriftService(create_engine("postgresql+psycopg://"))
evidence = DriftEvidence(expected=Decimal(2), found=Decimal(1), generation=1)
try:
    service.create_flag_command("ETH", evidence, environment="mainnet")
except Exception as refused:
    print(type(refused).__name__)
"""
LATE = """
import os, sys, sitecustomize, worker.services.drift
sitecustomize.install({**os.environ, "SIM_SERVICES": "worker/risk"})
"""


def told(log: Path, what: str) -> list[dict[str, Any]]:
    """What the lines of that kind say."""
    return [dict(event.detail) for event in read_log(log)[0] if event.what == what]


@pytest.mark.parametrize("late", [False, True], ids=["before its import", "after its import"])
def test_call_of_the_service_is_told_with_its_outcome_and_transactions(tmp_path: Path, late: bool) -> None:
    log = tmp_path / "log"
    environ = environment(log=log, actor="bot", **({} if late else {"SIM_SERVICES": "worker/risk"}))

    done = run_python(LATE * late + REFUSED, **environ)

    assert (done.returncode, done.stdout, done.stderr) == (0, "EnvironmentNotAllowed\n", "")
    assert len(told(log, "services.watched")) == 1
    (call,) = told(log, "service.transactions")
    assert (call["asset"], call["button"], call["outcome"], call["transactions"]) == (
        "ETH",
        "flag drift",
        "refused",
        [],
    )
    assert told(log, "service.called") == []


def test_function_of_a_forbidden_folder_that_the_call_reaches_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"

    run_python(REFUSED, **environment(log=log, actor="bot", SIM_SERVICES="worker/risk:worker/services"))

    places = [call["place"] for call in told(log, "service.called")]
    assert "worker/services/submission.py:require_testnet" in places


def test_child_without_the_variable_tells_of_no_service(tmp_path: Path) -> None:
    log = tmp_path / "log"

    run_python(REFUSED, **environment(log=log, actor="bot"))

    assert [event.what for event in read_log(log)[0]] == ["sensor.installed"]


@pytest.mark.parametrize("imported", [False, True], ids=["before its import", "after its import"])
def test_second_installation_tells_each_call_once_in_the_log_that_is_kept_now(tmp_path: Path, imported: bool) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    again = (
        "import os, sitecustomize\n"
        + "import worker.services.drift\n" * imported
        + f"sitecustomize.install({{**os.environ, 'SIM_WITNESS_LOG': {str(second)!r}, "
        "'SIM_SERVICES': 'worker/risk:worker/services'})\n"
    )

    done = run_python(again + REFUSED, **environment(log=first, actor="bot", SIM_SERVICES="worker/risk"))

    assert (done.returncode, done.stdout, done.stderr) == (0, "EnvironmentNotAllowed\n", "")
    assert [len(told(log, "service.transactions")) for log in (first, second)] == [0, 1]
    assert "worker/services/submission.py:require_testnet" in [call["place"] for call in told(second, "service.called")]
