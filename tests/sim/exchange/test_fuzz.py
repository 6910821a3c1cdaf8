"""The attacks of scripts/fuzz_exchange, a few of each and always the same; and that they would notice."""

from collections.abc import Iterator

import pytest

from sim.exchange.clock import Clock
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.keys import ApiKey
from sim.exchange.skins.threads import ServedWorld, served
from sim.exchange.world import World
from tests.sim.exchange.fuzz.answers import HttpAnswer, WrongAnswerError, check, parsed
from tests.sim.exchange.fuzz.crowd import slow_crowd
from tests.sim.exchange.fuzz.families import FAMILIES, play
from tests.sim.exchange.fuzz.target import Target
from tests.sim.exchange.trader import NOW_US, SECRET, api_key

JSON = {"content-type": "application/json;charset=UTF-8"}
HTML = {"content-type": "text/html"}


@pytest.fixture
def running() -> Iterator[ServedWorld]:
    """A world of seven markets with a day of history less than usual, and an account, served on loopback."""
    world = World(clock=Clock.standing_at(NOW_US), history_s=600)
    world.open_account("alice", key=ApiKey(api_key=api_key("a"), account="alice", secret=SECRET))
    with served(world) as found:
        yield found
        assert found.call(World.breaches) == []


@pytest.fixture
def target(running: ServedWorld) -> Target:
    found = Target(
        api_port=running.api.port,
        control_port=running.control.port,
        token=running.control.token,
        api_key=api_key("a"),
        secret=SECRET,
        complaints=lambda: "",
    )
    found.begin()
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_attacks_are_answered_as_the_exchange_would(
    target: Target, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    play(name, target, number=1, examples=40)

    target.check_health()
    assert target.asked > 1
    assert caplog.records == []


def test_slow_clients_hold_nobody_up(target: Target) -> None:
    with slow_crowd(target, 10) as crowd:
        for _ in range(5):
            crowd.turn()
            target.check_health()
        assert (crowd.turns, crowd.opened) == (5, 20)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("careless requests", Fault(kind=FaultKind.STATUS, status=500, body="<html>", skip=5, times=0)),
        ("careless requests", Fault(kind=FaultKind.CONTENT_TYPE, content_type="text/csv", skip=5, times=0)),
        ("careless requests", Fault(kind=FaultKind.TRUNCATE, keep_bytes=1, skip=5, times=0)),
        ("careless requests", Fault(kind=FaultKind.DROP, skip=5, times=0)),
        ("messages of the WebSocket API", Fault(kind=FaultKind.ERROR, error="unknown", skip=5, times=0)),
        ("messages of the WebSocket API", Fault(kind=FaultKind.RESET, skip=5, times=0)),
    ],
    ids=lambda each: each if isinstance(each, str) else each.kind,
)
def test_what_the_exchange_never_says_is_found(running: ServedWorld, target: Target, name: str, fault: Fault) -> None:
    running.call(lambda world: world.faults.arm(fault))

    with pytest.raises(WrongAnswerError):
        play(name, target, number=1, examples=60)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(500, JSON, b'{"code":-1000,"msg":"An unknown error"}'),
        HttpAnswer(400, JSON, b'{"code":-1000}'),
        HttpAnswer(400, JSON, b'{"code":"-1000","msg":"x"}'),
        HttpAnswer(400, JSON, b'{"code":1000,"msg":"x"}'),
        HttpAnswer(400, JSON, b'{"code":-1000,"msg":"x","trace":"y"}'),
        HttpAnswer(302, JSON, b'{"code":-1000,"msg":"x"}'),
        HttpAnswer(200, HTML, b"<html>"),
        HttpAnswer(403, HTML, b"<html>"),
        HttpAnswer(400, JSON, b""),
    ],
)
def test_answer_that_is_not_the_apis_is_refused(answer: HttpAnswer) -> None:
    with pytest.raises(WrongAnswerError):
        check(answer)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(200, JSON, b"{}"),
        HttpAnswer(200, JSON, b"[]"),
        HttpAnswer(429, JSON, b'{"code":-1003,"msg":"x"}'),
        HttpAnswer(409, JSON, b'{"code":-2021,"msg":"x","data":{}}'),
        HttpAnswer(404, HTML, b"<html>"),
        HttpAnswer(421, {"content-type": "text/plain"}, b"x"),
        HttpAnswer(100, {}, b""),
    ],
)
def test_answer_of_the_api_is_accepted(answer: HttpAnswer) -> None:
    check(answer)


@pytest.mark.parametrize(
    "received", [b"HTTP/2.0 200 OK\r\n\r\n", b"hello", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"]
)
def test_bytes_that_are_no_whole_answer_are_refused(received: bytes) -> None:
    with pytest.raises(WrongAnswerError):
        parsed(received)
