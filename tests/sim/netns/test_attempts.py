"""How attempts are told, and what to do where no namespace is to be had."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sim.netns.attempts import MAX_LINES, Attempt, Owner, tell, to_line
from sim.netns.remedies import remedy

OWNER = Owner(pid=7, command="curl -s", parents=("sh [3]",), sharers=1)
ATTEMPT = Attempt(
    at_ns=1,
    what="network.connect",
    host="a.example",
    address="2001:db8::7",
    port=443,
    transport="tcp",
    said="TLS for a.example",
    owner=OWNER,
)


def test_line_of_the_report_speaks_as_the_witness_does() -> None:
    told = json.loads(to_line(replace(ATTEMPT, host="API.binance.com.")))

    assert {key: told[key] for key in ("at_ns", "pid", "actor", "what", "host", "port", "mainnet_host")} == {
        "at_ns": 1,
        "pid": 7,
        "actor": "curl -s [7] and 1 that share its socket < sh [3]",
        "what": "network.connect",
        "host": "API.binance.com.",
        "port": 443,
        "mainnet_host": "api.binance.com",
    }


def test_mainnet_that_only_the_client_names_is_mainnet() -> None:
    assert replace(ATTEMPT, host="203.0.113.7", said="TLS for api.binance.com").mainnet_host == "api.binance.com"
    assert ATTEMPT.mainnet_host is None


@pytest.mark.parametrize(
    ("attempt", "place"),
    [
        (ATTEMPT, "[2001:db8::7]:443/tcp"),
        (replace(ATTEMPT, address="203.0.113.7", transport="udp"), "203.0.113.7:443/udp"),
        (replace(ATTEMPT, address="203.0.113.7", port=None, transport="icmp"), "203.0.113.7 icmp"),
        (replace(ATTEMPT, address=None, port=None), "-"),
    ],
)
def test_place_is_told_with_port_and_transport(attempt: Attempt, place: str) -> None:
    assert f" {place} " in tell([attempt])[1]


def test_attempt_of_nobody_is_told_so() -> None:
    told = tell([replace(ATTEMPT, owner=None)])

    assert told[1].endswith("a process that had ended, or closed its socket")


def test_table_has_a_bound() -> None:
    told = tell(replace(ATTEMPT, host=f"n{number}.example") for number in range(MAX_LINES + 3))

    assert len(told) == 1 + MAX_LINES + 1
    assert told[-1] == "  and 3 further lines"


@pytest.mark.parametrize(
    ("number", "uid", "settings", "what_to_do"),
    [
        (errno.ENOSPC, 1000, {}, "raise it with `sysctl -w`"),
        (errno.ENOENT, 0, {}, "an empty one will do"),
        (errno.EPERM, 0, {"user/max_user_namespaces": "0"}, "root lacks CAP_SYS_ADMIN here"),
        (errno.EPERM, 1000, {"user/max_user_namespaces": "0"}, "sysctl -w user.max_user_namespaces=10000"),
        (errno.EPERM, 1000, {"kernel/unprivileged_userns_clone": "0"}, "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            errno.EACCES,
            1000,
            {"user/max_user_namespaces": "9", "kernel/apparmor_restrict_unprivileged_userns": "1"},
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (errno.EPERM, 1000, {"user/max_user_namespaces": "9"}, "run it as root, or where ordinary users may"),
    ],
)
def test_remedy_is_by_what_the_machine_says_of_itself(
    tmp_path: Path, number: int, uid: int, settings: dict[str, str], what_to_do: str
) -> None:
    for name, value in settings.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")

    assert what_to_do in remedy(OSError(number, "no"), uid, tmp_path)
