"""Connections without sockets: messages and their errors, pings, age, limits, faults, and the end."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.exchange.clock import DAY, SECOND, Clock
from sim.exchange.events import Subscribed
from sim.exchange.refusals import ApiError
from sim.exchange.stream_faults import StreamFault, StreamFaultKind
from sim.exchange.streams.connections import is_stream_path, open_session
from sim.exchange.streams.frames import Abort, Close, Frame, Ping, Text
from sim.exchange.streams.session import Session
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader, still_world

VARIANTS = "expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


@pytest.fixture
def session(quoted: World) -> Session:
    return open_session(quoted, "/ws")


def texts(frames: list[Frame]) -> list[Any]:
    return [msgspec.json.decode(frame.text) for frame in frames if isinstance(frame, Text)]


def answer(session: Session, text: str) -> Any:
    session.receive(text)
    [found] = texts(session.take())
    return found


def pass_time(session: Session, us: int) -> list[Frame]:
    session.world.clock.advance(us=us)
    session.tick()
    return session.take()


def test_subscribe_brings_events_and_unsubscribe_ends_them(quoted: World, alice: Trader, session: Session) -> None:
    assert answer(session, '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}') == {"result": None, "id": 1}
    alice.market("BUY", "1")
    assert [each["e"] for each in texts(session.take())] == ["trade"]

    assert answer(session, '{"method":"LIST_SUBSCRIPTIONS","id":"a-2"}') == {"result": ["btcusdt@trade"], "id": "a-2"}
    assert answer(session, '{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":null}') == {
        "result": None,
        "id": None,
    }
    alice.market("BUY", "1")
    assert session.take() == []


def test_combined_is_a_property_that_can_be_set(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/stream?streams=btcusdt@trade")
    assert answer(session, '{"method":"GET_PROPERTY","params":["combined"],"id":1}')["result"] is True
    alice.market("BUY", "0.1")
    assert [each["stream"] for each in texts(session.take())] == ["btcusdt@trade"]

    assert answer(session, '{"method":"SET_PROPERTY","params":["combined",false],"id":2}')["result"] is None
    alice.market("BUY", "0.1")

    assert [each["e"] for each in texts(session.take())] == ["trade"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{nonsense}", (3, "Invalid JSON: expected value at line 1 column 2")),
        ('{"method":"SUBSCRIBE","params":[NaN],"id":1}', (3, "Invalid JSON: expected value at line 1 column 1")),
        ("[" * 100_000, (3, "Invalid JSON: expected value at line 1 column 1")),
        (
            '{"method":"SUBSCRIBE","params":["\\ud800"],"id":1}',
            (3, "Invalid JSON: expected value at line 1 column 1"),
        ),
        ("[]", (2, "Invalid request: missing field `method` at line 1 column 2")),
        ('{"id":1}', (2, "Invalid request: missing field `method` at line 1 column 8")),
        (
            '{"method":"SUBSCRIB","id":1}',
            (2, f"Invalid request: unknown variant `SUBSCRIB`, {VARIANTS} at line 1 column 20"),
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS"}',
            (2, "Invalid request: request ID must be an unsigned integer"),
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","id":1.5}',
            (2, "Invalid request: request ID must be an unsigned integer"),
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","id":true}',
            (2, "Invalid request: request ID must be an unsigned integer"),
        ),
        (
            '{"method":"LIST_SUBSCRIPTIONS","id":"' + 37 * "a" + '"}',
            (2, "Invalid request: request ID must be an unsigned integer"),
        ),
        ('{"method":"LIST_SUBSCRIPTIONS","params":["a"],"id":1}', (2, "Invalid request: too many parameters")),
        ('{"method":"GET_PROPERTY","params":["a","b"],"id":1}', (2, "Invalid request: too many parameters")),
        ('{"method":"GET_PROPERTY","params":["wrong"],"id":1}', (0, "Unknown property")),
        ('{"method":"GET_PROPERTY","id":1}', (2, "Invalid request: property name must be a string")),
        ('{"method":"SET_PROPERTY","params":[1,true],"id":1}', (2, "Invalid request: property name must be a string")),
        (
            '{"method":"SET_PROPERTY","params":["combined",1],"id":1}',
            (1, "Invalid value type: expected Boolean"),
        ),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', (2, "Invalid request: params must be an array of stream names")),
    ],
)
def test_bad_message_is_answered_with_its_error(session: Session, text: str, expected: tuple[int, str]) -> None:
    found = answer(session, text)

    assert (found["code"], found["msg"]) == expected
    assert not session.is_over


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
METHODS = [
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST_SUBSCRIPTIONS",
    "SET_PROPERTY",
    "GET_PROPERTY",
    "order.place",
    "depth",
    "time",
]
NAMES = ["id", "method", "params", "symbol", "apiKey", "signature", "timestamp", "combined"]
MESSAGES = st.dictionaries(
    st.sampled_from(NAMES),
    JSON | st.sampled_from(METHODS) | st.lists(JSON) | st.dictionaries(st.sampled_from(NAMES), JSON),
)


@settings(max_examples=150, deadline=None)
@given(text=st.text() | JSON.map(json.dumps) | MESSAGES.map(json.dumps))
@pytest.mark.parametrize("target", ["/ws", "/ws-api/v3"])
def test_any_text_is_answered_once_and_ends_nothing(target: str, text: str) -> None:
    session = open_session(still_world(), target)

    session.receive(text)

    assert len(texts(session.take())) == 1
    assert not session.is_over
    session.end()


def test_ping_comes_every_twenty_seconds_with_digits_and_pongs_keep_the_connection(session: Session) -> None:
    for number in range(1, 10):
        [ping] = pass_time(session, 20 * SECOND)
        assert ping == Ping(str(NOW_MS + number * 20_000).encode())
        assert isinstance(ping, Ping)
        session.receive_pong(ping.payload)

    assert not session.is_over


@pytest.mark.parametrize("payload", [b"", b"unasked"])
def test_connection_without_the_right_pong_ends_after_a_minute(session: Session, payload: bytes) -> None:
    found: list[Frame] = []
    for _ in range(4):
        found += pass_time(session, 20 * SECOND)
        session.receive_pong(payload)

    assert [type(frame) for frame in found] == [Ping, Ping, Ping, Close]
    assert found[-1] == Close(1008, "Pong timeout")
    assert session.is_over


def test_clock_that_jumps_leaves_time_to_answer(session: Session) -> None:
    [first] = pass_time(session, 20 * SECOND)
    pass_time(session, 3600 * SECOND)

    assert isinstance(first, Ping)
    assert not session.is_over


def test_connection_ends_after_a_day(session: Session) -> None:
    pass_time(session, DAY - 1)
    assert not session.is_over

    assert pass_time(session, 1)[-1:] == [Close(1001, "")]


def test_sixth_message_within_a_second_ends_the_connection(quoted: World) -> None:
    moment = [NOW_US]
    quoted.clock = Clock(lambda: moment[0])
    session = open_session(quoted, "/ws")
    message = '{"method":"LIST_SUBSCRIPTIONS","id":1}'

    for _ in range(10):
        session.receive(message)
        moment[0] += SECOND // 5
    assert len(texts(session.take())) == 10
    session.receive(message)
    session.receive_ping()

    assert session.take()[-1] == Close(1008, "Too many requests")


def test_connection_bears_1024_streams_and_no_more(quoted: World, session: Session) -> None:
    names = [f"stream{number}@trade" for number in range(1024)]
    answer(session, msgspec.json.encode({"method": "SUBSCRIBE", "params": names, "id": 1}).decode())
    assert not session.is_over

    session.receive('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":2}')

    assert session.take()[-1] == Close(1008, "Too many streams")


def test_address_connects_300_times_in_five_minutes(quoted: World) -> None:
    for _ in range(300):
        open_session(quoted, "/ws").end()

    with pytest.raises(ApiError) as refused:
        open_session(quoted, "/ws")
    assert refused.value.status == 429
    open_session(quoted, "/ws", address="10.0.0.1").end()
    quoted.clock.advance(us=300 * SECOND)
    open_session(quoted, "/ws").end()


def test_wrong_time_unit_is_refused(quoted: World) -> None:
    with pytest.raises(ApiError) as refused:
        open_session(quoted, "/ws?timeUnit=HOUR")
    assert refused.value.code == -1194


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/ws", {"e": "serverShutdown", "E": NOW_MS}),
        ("/stream", {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": NOW_MS}}),
    ],
)
def test_shutdown_is_announced(quoted: World, target: str, expected: Any) -> None:
    session = open_session(quoted, target)

    quoted.announce_shutdown()

    assert texts(session.take()) == [expected]
    assert not session.is_over


def test_reset_of_the_exchange_ends_connections(quoted: World, session: Session) -> None:
    quoted.wipe()

    assert session.take() == [Close(1001, "")]
    assert not quoted.events


def test_ended_session_hears_nothing_more(quoted: World, session: Session) -> None:
    session.end()

    assert not quoted.events
    session.receive('{"method":"LIST_SUBSCRIPTIONS","id":1}')
    assert session.take() == []


def ids_after(world: World, alice: Trader, **fault: Any) -> list[int]:
    """Trade ids that arrive of the four that happen while the fault is armed."""
    world.stream_faults.arm(StreamFault(**fault))
    session = open_session(world, "/ws/btcusdt@trade")
    for _ in range(4):
        alice.market("BUY", "0.1")
    return [each["t"] for each in texts(session.take())]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "drop", "stream": "nothing"}, [0, 1, 2, 3]),
        ({"kind": "drop", "skip": 1}, [0, 2, 3]),
        ({"kind": "drop", "times": 0}, []),
        ({"kind": "duplicate", "skip": 1, "times": 2}, [0, 1, 1, 2, 2, 3]),
        ({"kind": "reorder", "stream": "btcusdt@.*"}, [1, 0, 2, 3]),
        ({"kind": "silence", "skip": 2}, [0, 1]),
        ({"kind": "drop", "account": "somebody"}, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_events_meet_their_faults(quoted: World, alice: Trader, fault: dict[str, Any], expected: list[int]) -> None:
    assert ids_after(quoted, alice, **fault) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"kind": "close", "reason": "policy"}, Close(1008, "policy")), ({"kind": "cut"}, Abort())],
    ids=str,
)
def test_fault_ends_the_connection_in_place_of_an_event(
    quoted: World, alice: Trader, fault: dict[str, Any], expected: Frame
) -> None:
    session = open_session(quoted, "/ws/btcusdt@trade")
    quoted.stream_faults.arm(StreamFault(skip=1, **fault))

    alice.market("BUY", "0.1")
    alice.market("BUY", "0.1")
    alice.market("BUY", "0.1")

    found = session.take()
    assert found[1:] == [expected]
    assert len(texts(found)) == 1


def test_silent_connection_still_acknowledges_and_pings(quoted: World, alice: Trader, session: Session) -> None:
    quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.SILENCE))
    answer(session, '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')

    alice.market("BUY", "0.1")

    assert answer(session, '{"method":"LIST_SUBSCRIPTIONS","id":2}')["result"] == ["btcusdt@trade"]
    assert [type(frame) for frame in pass_time(session, 20 * SECOND)] == [Ping]


def test_pings_can_be_left_out(quoted: World, session: Session) -> None:
    quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.NO_PING, times=2))

    found = [len(pass_time(session, 20 * SECOND)) for _ in range(3)]

    assert found == [0, 0, 1]


def test_paths_of_streams_are_known() -> None:
    assert [is_stream_path(path) for path in ("/ws", "/ws/a", "/stream", "/wsx", "/api/v3/ping")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_who_watches_the_world_hears_each_subscription_once(quoted: World, alice: Trader) -> None:
    heard: list[tuple[str, str]] = []
    quoted.subscribe(
        lambda event: heard.append((event.stream, event.account)) if isinstance(event, Subscribed) else None
    )
    key = quoted.listen_keys.create("alice", quoted.now_us())

    session = open_session(quoted, f"/stream?streams=btcusdt@trade/{key}/no-such-stream")
    answer(session, '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth"],"id":1}')

    assert heard == [("btcusdt@trade", ""), (key, "alice"), ("btcusdt@depth", "")]
    assert texts(session.take()) == []
