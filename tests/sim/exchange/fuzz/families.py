"""The families of attacks: what hypothesis makes up, and what must hold of the answers."""

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.sim.exchange.fuzz.answers import HttpAnswer, WrongAnswerError, check, check_payload
from tests.sim.exchange.fuzz.messages import Message, api_requests, frames, stream_messages, stream_paths, text_of
from tests.sim.exchange.fuzz.requests import Careless, broken, careless
from tests.sim.exchange.fuzz.sockets import Connection, connected
from tests.sim.exchange.fuzz.target import Target, kind_of

API_PATH: Final = "/ws-api/v3"
# How long somebody who has sent half of something waits.
IDLE_S: Final = 0.02
# A request of a weight of up to 250 each, and the connection: what a minute allows an address.
MAX_MESSAGES: Final = 12
EXAMPLES_PER_WINDOW: Final = 4


def careless_requests(target: Target, request: Careless) -> None:
    """HTTP that asks for something: one answer, in the API's form."""
    answers = [each for each in target.send(request.raw(target)) if each.status != 100]
    if len(answers) != 1:
        raise WrongAnswerError(f"expected one answer, found {answers}")
    check(answers[0])


def broken_requests(target: Target, raw: bytes) -> None:
    """Bytes that are hardly HTTP: answers in form, or an end."""
    for answer in target.send(raw, idle_s=IDLE_S):
        check(answer)


def huge_requests(target: Target, size: int, told: int | None, chunked: bool) -> None:
    """Bodies around and far beyond what is read."""
    length = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {size if told is None else told}\r\n"
    body = b"%x\r\n" % size + b"a" * size + b"\r\n0\r\n\r\n" if chunked else b"a" * size
    head = f"POST /api/v3/order HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{length}\r\n"
    for answer in target.send(head.encode() + body, idle_s=IDLE_S):
        check(answer)


def _opened(found: Connection | HttpAnswer) -> Connection | None:
    if isinstance(found, HttpAnswer):
        check(found)
        return None
    return found


def api_messages(target: Target, messages: list[Message]) -> None:
    """Texts on a connection of the WebSocket API: each is answered once, in form, and the connection stays."""
    with connected(target.api_port, API_PATH) as found:
        connection = _opened(found)
        if connection is None:
            return
        status = 0
        for message in [*messages, '{"id":"last","method":"time"}']:
            target.asked += 1
            connection.say(text_of(message, target))
            answer = connection.answer(lambda text: "event" not in text)
            if answer is None:
                # Whoever asks too much is sent away, and was told why.
                if status != 418:
                    raise WrongAnswerError(f"the connection ended at {message!r:.300}")
                return
            _check_envelope(answer)
            target.seen[f"message {kind_of(answer['status'], json.dumps(answer.get('error')).encode())}"] += 1
            status = answer["status"]
        if answer["id"] != "last":
            raise WrongAnswerError(f"expected one answer to each text, and the last is {answer}")


def _check_envelope(answer: dict[str, Any]) -> None:
    content = "result" if answer.get("status") == 200 else "error"
    if [*answer][:3] != ["id", "status", content] or answer.keys() - {"id", "status", content, "rateLimits"}:
        raise WrongAnswerError(f"expected id, status, {content}, rateLimits; found {answer}")
    if content == "error":
        check_payload(answer["status"], answer["error"])


def messages_about_streams(target: Target, path: str, messages: list[Message]) -> None:
    """Texts on a stream connection: each is answered once, with a result or a code and a message."""
    with connected(target.api_port, path) as found:
        connection = _opened(found)
        if connection is None:
            return
        for message in [*messages, '{"id":4711,"method":"LIST_SUBSCRIPTIONS"}']:
            target.asked += 1
            connection.say(text_of(message, target))
            answer = connection.answer(_is_answer)
            if answer is None:
                return
            if answer.keys() - {"id", "result", "code", "msg"} or ("result" in answer) == ("code" in answer):
                raise WrongAnswerError(f"expected a result, or code and msg, for {message!r:.300}; found {answer}")
        if answer.get("id") != 4711:
            raise WrongAnswerError(f"expected one answer to each text, and the last is {answer}")


def _is_answer(text: Any) -> bool:
    return isinstance(text, dict) and ("result" in text or "code" in text)


def wrong_frames(target: Target, path: str, raw: bytes) -> None:
    """Bytes where frames should be: JSON in texts, or an end; never silence when the client has gone silent itself."""
    with connected(target.api_port, path) as found:
        connection = _opened(found)
        if connection is None:
            return
        target.asked += 1
        connection.send(raw)
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return
        connection.texts_until_end()


def hurried_sockets(target: Target, number: int) -> None:
    """Many connections at a time, each with a request that is cut in two: all are answered."""
    whole = b"GET /api/v3/time HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    sockets = [socket.create_connection(("127.0.0.1", target.api_port), timeout=10) for _ in range(number)]
    try:
        for each in sockets:
            each.sendall(whole[:20])
        for each in sockets:
            each.sendall(whole[20:])
        for each in sockets:
            target.asked += 1
            received = b""
            while chunk := each.recv(65_536):
                received += chunk
            if not received.startswith(b"HTTP/1.1 200 ") and not received.startswith(b"HTTP/1.1 429 "):
                raise WrongAnswerError(f"one of {number} connections was answered {received[:100]!r}")
    finally:
        for each in sockets:
            each.close()


Attack = Callable[..., None]
FAMILIES: Final[Mapping[str, tuple[Attack, tuple[st.SearchStrategy[Any], ...]]]] = {
    "careless requests": (careless_requests, (careless(),)),
    "broken requests": (broken_requests, (broken,)),
    "huge requests": (
        huge_requests,
        (
            st.sampled_from([65_535, 65_536, 65_537, 200_000, 2_000_000]),
            st.sampled_from([None, None, None, 0, 10, 10**15]),
            st.booleans(),
        ),
    ),
    "messages of the WebSocket API": (
        api_messages,
        (st.lists(st.one_of(api_requests(), api_requests(), stream_messages), min_size=1, max_size=MAX_MESSAGES),),
    ),
    "messages about streams": (
        messages_about_streams,
        (stream_paths, st.lists(stream_messages, min_size=1, max_size=MAX_MESSAGES)),
    ),
    "wrong frames": (wrong_frames, (st.sampled_from(["/ws/btcusdt@trade", API_PATH]), frames)),
    "many sockets": (hurried_sockets, (st.integers(1, 150),)),
}
# How many examples of a family make a round, beside the others.
SHARES: Final[Mapping[str, float]] = {"huge requests": 0.1, "many sockets": 0.03, "wrong frames": 0.4}


def play(name: str, target: Target, *, number: int, examples: int) -> None:
    """A number of examples of a family, those of that number. Raises WrongAnswerError with the smallest one found."""
    attack, strategies = FAMILIES[name]

    @seed(number)
    @settings(
        max_examples=max(1, int(examples * SHARES.get(name, 1))),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(st.tuples(*strategies))
    def test(example: tuple[Any, ...]) -> None:
        target.examples += 1
        if target.examples % EXAMPLES_PER_WINDOW == 0:
            target.pass_limits()
        attack(target, *example)

    test()
