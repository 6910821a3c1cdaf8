"""`sim exchange` as a person starts it: it says where it is, serves, and ends when told to."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from sim.cli import main
from tests.sim.exchange.trader import signature

TIMEOUT_S = 30


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    """The command, started with half a bitcoin; killed if the test left it running."""
    command = [sys.executable, "-m", "sim.cli", "exchange", "--balance", "BTC=0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_command_serves_an_account_and_ends_in_order(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    told = json.loads(started.stdout.readline())
    server_time = httpx.get(f"{told['api']}/api/v3/time").json()["serverTime"]
    query = f"timestamp={server_time}"

    account = httpx.get(
        f"{told['api']}/api/v3/account?{query}&signature={signature(query, told['secret'])}",
        headers={"X-MBX-APIKEY": told["api_key"]},
    )
    breaches = httpx.post(f"{told['control']}/breaches", headers={"Authorization": f"Bearer {told['control_token']}"})
    started.send_signal(signal.SIGTERM)

    assert account.json()["balances"] == [{"asset": "BTC", "free": "0.50000000", "locked": "0.00000000"}]
    assert breaches.json() == {"result": []}
    assert started.wait(TIMEOUT_S) == 0


def test_balance_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(main, ["exchange", "--balance", "BTC=much"])

    assert result.exit_code == 2
    assert "expected ASSET=AMOUNT" in result.output


def test_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, ["exchange", "--port", str(taken.getsockname()[1])])

    assert result.exit_code == 1
    assert "exchange/no_port" in result.output
