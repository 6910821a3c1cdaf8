"""What a client says first is understood, and of what it says only names are kept."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.netns.greeting import MORE, Heard, listen


def tls_hello(name: str | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, newest
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def startup(*words: str) -> bytes:
    content = b"\0\3\0\0" + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return (4 + len(content)).to_bytes(4) + content


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_name_of_a_tls_hello(newest: ssl.TLSVersion) -> None:
    assert listen(tls_hello("api.binance.com", newest)) == Heard(
        said="TLS for api.binance.com", name="api.binance.com", is_all=True
    )


def test_tls_hello_without_a_name_and_one_that_is_none() -> None:
    assert listen(tls_hello(None)).said == "TLS without a name"
    assert listen(b"\x16\x03\x01\0\x05hello").said == "TLS that is malformed"


@pytest.mark.parametrize(
    ("text", "said", "name"),
    [
        (
            "GET /x?signature=0123 HTTP/1.1\r\nHost: API.Binance.com:443",
            "HTTP GET for api.binance.com",
            "api.binance.com",
        ),
        ("POST / HTTP/1.0\r\nA: b\r\nhost:one.example", "HTTP POST for one.example", "one.example"),
        ("CONNECT api.binance.com:443 HTTP/1.1\r\nHost: proxy", "HTTP CONNECT for api.binance.com", "api.binance.com"),
        ("GET http://u:p@a.example:80/x HTTP/1.1\r\nHost: proxy", "HTTP GET for a.example", "a.example"),
        ("GET / HTTP/1.1\r\nHost: [2606:4700::1]:8080", "HTTP GET for 2606:4700::1", "2606:4700::1"),
        ("GET / HTTP/1.0", "HTTP GET", None),
        ("HELO mail.example", "text of no known protocol", None),
    ],
)
def test_http(text: str, said: str, name: str | None) -> None:
    assert listen(f"{text}\r\n\r\n".encode()) == Heard(said=said, name=name, is_all=True)


def test_http2_and_ssh_say_only_what_they_are() -> None:
    assert listen(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").said == "HTTP/2"
    assert listen(b"SSH-2.0-OpenSSH_9.6\r\n").said == "SSH"


@pytest.mark.parametrize("code", [80877103, 80877104])
def test_libpq_is_told_that_neither_tls_nor_gss_is_to_be_had(code: int) -> None:
    assert listen(b"\0\0\0\x08" + code.to_bytes(4)) == Heard(reply=b"N", used=8)


def test_libpq_says_user_and_database() -> None:
    heard = listen(startup("user", "gui", "database", "tradingbot_gui", "application_name", "x"))

    assert heard == Heard(said="PostgreSQL, user gui, database tradingbot_gui", is_all=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x10" + (80877102).to_bytes(4) + bytes(8), "PostgreSQL, cancels a query"),
        (b"\0\0\0\x10\0\x09\0\0" + bytes(8), "16 bytes of no known protocol"),
        (b"\xff\xff\xff\xff\0\3\0\0", "8 bytes of no known protocol"),
        (b"\x01secret", "7 bytes of no known protocol"),
    ],
)
def test_other_bytes_are_counted_and_not_shown(content: bytes, said: str) -> None:
    assert listen(content) == Heard(said=said, is_all=True)


@pytest.mark.parametrize(
    "whole",
    [tls_hello("a.example"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", startup("user", "gui")],
    ids=["TLS", "HTTP", "libpq"],
)
def test_greeting_that_comes_in_pieces_is_waited_for(whole: bytes) -> None:
    assert [listen(whole[:length]) for length in (0, 1, 4, 7, len(whole) - 1)] == [MORE] * 5
    assert listen(whole).is_all


@given(st.binary(max_size=100), st.sampled_from([b"", b"\x16\x03\x01", b"GET ", b"\0\0\0\x20\0\3\0\0", b"CONNECT "]))
def test_no_bytes_break_the_listener(content: bytes, start: bytes) -> None:
    heard = listen(start + content)

    assert heard.is_all or heard.said is None
