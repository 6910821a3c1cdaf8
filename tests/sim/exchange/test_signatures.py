"""Signatures: the official vectors, what is signed, and what is compared how."""

import base64
import hmac
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import SimError
from sim.exchange.keys import (
    ApiKey,
    KeyKind,
    sent_signature,
    signed_and_signature,
    signed_payload,
    without_signature,
)
from sim.exchange.request_log import RequestLog
from sim.exchange.wire import Request
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader, signature

BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
# The example key of the public documentation.
OFFICIAL_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
REST = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"


def pem(public: object) -> str:
    assert hasattr(public, "public_bytes")
    text: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (quote("１２３４５６"), "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
    ids=["ascii", "full-width"],
)
def test_official_vectors_are_accepted(symbol: str, expected: str) -> None:
    key = ApiKey(api_key="k", account="a", secret=OFFICIAL_SECRET)

    assert key.accepts(f"symbol={symbol}{REST}".encode(), expected)


def test_hmac_signature_is_compared_without_regard_to_case(alice: Trader) -> None:
    query = alice.query()

    assert alice.send("GET", "/api/v3/account", f"{query}&signature={signature(query).upper()}").status == 200


def test_signature_of_another_payload_is_refused(alice: Trader) -> None:
    query = alice.query()

    assert alice.send("GET", "/api/v3/account", f"{query}&signature={signature(query + '&')}").refusal == BAD_SIGNATURE


def test_signature_need_not_come_last(alice: Trader) -> None:
    query = f"recvWindow=5000&timestamp={NOW_MS}"
    sent = f"recvWindow=5000&signature={signature(query)}&timestamp={NOW_MS}"

    assert alice.send("GET", "/api/v3/account", sent).status == 200


def test_reordered_parameters_are_another_payload(alice: Trader) -> None:
    signed = signature(f"timestamp={NOW_MS}&recvWindow=5000")

    reply = alice.send("GET", "/api/v3/account", f"recvWindow=5000&timestamp={NOW_MS}&signature={signed}")

    assert reply.refusal == BAD_SIGNATURE


@pytest.mark.parametrize("split", [0, 2, 5])
def test_query_and_body_are_signed_with_nothing_between(alice: Trader, split: int) -> None:
    pairs = f"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=100&timeInForce=GTC&timestamp={NOW_MS}".split("&")
    query, body = "&".join(pairs[:split]), "&".join(pairs[split:])

    reply = alice.send("POST", "/api/v3/order", query, body=f"{body}&signature={signature(query + body)}".encode())

    assert reply.status == 200, reply.json


def test_signature_in_the_query_covers_the_body(alice: Trader) -> None:
    body = f"symbol=BTCUSDT&timestamp={NOW_MS}"

    reply = alice.send("DELETE", "/api/v3/openOrders", f"signature={signature(body)}", body=body.encode())

    assert reply.refusal == (400, -2011, "Unknown order sent.")


def test_text_that_is_not_encoded_before_signing_is_refused(alice: Trader) -> None:
    query = f"symbol=这&timestamp={NOW_MS}"

    reply = alice.send("GET", "/api/v3/openOrders", f"{query}&signature={signature(query)}")

    assert reply.refusal == BAD_SIGNATURE


def test_encoded_text_is_accepted(alice: Trader) -> None:
    assert alice.get("openOrders", symbol="这是测试币456").json == []


def test_ed25519_key_signs_and_its_signature_is_compared_exactly(world: World, alice: Trader) -> None:
    private = Ed25519PrivateKey.generate()
    world.add_key(ApiKey(api_key="e" * 64, account="alice", kind=KeyKind.ED25519, public_key=pem(private.public_key())))
    owner = Trader(world, "eve")
    query = f"timestamp={NOW_MS}"
    signed = base64.b64encode(private.sign(query.encode())).decode()

    accepted = owner.send("GET", "/api/v3/account", f"{query}&signature={quote(signed, safe='')}")
    swapped = owner.send("GET", "/api/v3/account", f"{query}&signature={quote(signed.swapcase(), safe='')}")

    assert accepted.status == 200
    assert swapped.refusal == BAD_SIGNATURE


def test_rsa_key_signs_with_pkcs1(world: World, alice: Trader) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world.add_key(ApiKey(api_key="r" * 64, account="alice", kind=KeyKind.RSA, public_key=pem(private.public_key())))
    owner = Trader(world, "rob")
    query = f"timestamp={NOW_MS}"
    signed = base64.b64encode(private.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    accepted = owner.send("GET", "/api/v3/account", f"{query}&signature={quote(signed, safe='')}")
    other = owner.send("GET", "/api/v3/account", f"{query}&recvWindow=1&signature={quote(signed, safe='')}")

    assert accepted.status == 200
    assert other.refusal == BAD_SIGNATURE


@pytest.mark.parametrize("kind", [KeyKind.RSA, KeyKind.ED25519])
@pytest.mark.parametrize("signed", ["", "not base64", "AAAA", "%%%"])
def test_garbage_is_no_signature(kind: KeyKind, signed: str) -> None:
    keys = {
        KeyKind.RSA: rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(),
        KeyKind.ED25519: Ed25519PrivateKey.generate().public_key(),
    }
    key = ApiKey(api_key="k", account="a", kind=kind, public_key=pem(keys[kind]))

    assert not key.accepts(b"payload", signed)


def test_public_key_of_another_kind_is_refused() -> None:
    text = pem(Ed25519PrivateKey.generate().public_key())

    with pytest.raises(SimError) as refused:
        ApiKey(api_key="k", account="a", kind=KeyKind.RSA, public_key=text)

    assert refused.value.code == "exchange/key_kind"


def test_key_never_shows_its_secret() -> None:
    assert "hidden" not in repr(ApiKey(api_key="k", account="a", secret="hidden"))


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("a=1&signature=x", "a=1"),
        ("signature=x&a=1", "a=1"),
        ("a=1&signature=x&b=2", "a=1&b=2"),
        ("signature=x", ""),
        ("a=signature", "a=signature"),
        ("mysignature=1&a=%20", "mysignature=1&a=%20"),
    ],
)
def test_only_the_signature_pair_is_left_out(raw: str, left: str) -> None:
    assert without_signature(raw) == left


@given(secret=st.text(min_size=1, max_size=150), payload=st.binary(max_size=300))
def test_hmac_whose_secret_is_taken_in_once_is_that_of_the_standard_library(secret: str, payload: bytes) -> None:
    key = ApiKey(api_key="k", account="a", secret=secret)
    right = hmac.digest(secret.encode(), payload, "sha256").hex()

    assert key.accepts(payload, right)
    assert key.accepts(payload, right.upper())
    assert not key.accepts(payload + b"x", right)
    assert not key.accepts(payload, right[:-1])


@given(
    pieces=st.lists(
        st.sampled_from(["signature=ab", "signature=", "signature=a%2B=", "x=y", "asignature=b", ""]), max_size=5
    ),
    body=st.sampled_from(["", "x=y", "signature=cd", "x=y&signature=cd"]),
)
def test_short_way_to_payload_and_signature_finds_what_the_long_one_does(pieces: list[str], body: str) -> None:
    query = "&".join(pieces)

    expected = signed_payload(query, body), sent_signature(query) or sent_signature(body)
    assert signed_and_signature(query, body) == expected


def test_entry_of_the_log_shows_no_signature() -> None:
    log = RequestLog()

    entry = log.open(Request.of("GET", "/api/v3/account?signature=hidden"), "alice", NOW_US)

    assert repr(entry) == "LogEntry(1, GET /api/v3/account, 0 0)"
