"""API keys and the signatures they check: HMAC-SHA-256, RSA (PKCS #1 v1.5 with SHA-256) and Ed25519.

The payload of a signature is the raw query string and the raw body, one after the other with nothing between, without
the `signature` pair, exactly as they were sent.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_plus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sim.errors import SimError
from sim.guard.refusal import Layer, refusal, shown

TESTNET_PERMISSIONS: Final = frozenset({"USER_DATA", "TRADE", "USER_STREAM"})
"""What a key of the testnet can do. One that can withdraw, transfer or borrow is a live one."""


class KeyKind(StrEnum):
    """How requests of a key are signed."""

    HMAC = "HMAC"
    RSA = "RSA"
    ED25519 = "ED25519"


@dataclass(slots=True, kw_only=True, eq=False)
class ApiKey:
    """One API key: `secret` of an HMAC key, `public_key` (PEM text) of the others. Neither is ever printed."""

    api_key: str
    account: str
    kind: KeyKind = KeyKind.HMAC
    secret: str = field(default="", repr=False)
    public_key: str = field(default="", repr=False)
    permissions: frozenset[str] = TESTNET_PERMISSIONS
    enabled: bool = True
    # The addresses that may use it; empty means all.
    addresses: frozenset[str] = frozenset()
    _loaded: RSAPublicKey | Ed25519PublicKey | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        foreign = sorted(self.permissions - TESTNET_PERMISSIONS)
        if foreign:
            why = f"expected a key that can trade on the testnet alone, found one with {shown(', '.join(foreign))}"
            refusal(Layer.EXCHANGE_DOUBLE, why)
            raise SimError("exchange/live_key", f"{why}; give one without")
        if self.kind is KeyKind.HMAC:
            return
        loaded = load_pem_public_key(self.public_key.encode())
        if not isinstance(loaded, RSAPublicKey | Ed25519PublicKey) or _kind_of(loaded) is not self.kind:
            raise SimError("exchange/key_kind", f"expected the PEM text of a public {self.kind} key; give such a one")
        self._loaded = loaded

    def accepts(self, payload: bytes, signature: str) -> bool:
        """Whether the signature, as it stands in the request but for its percent-encoding, fits the payload."""
        if self.kind is KeyKind.HMAC:
            expected = hmac.digest(self.secret.encode(), payload, "sha256").hex()
            return hmac.compare_digest(expected.encode(), signature.lower().encode())
        try:
            raw = base64.b64decode(signature, validate=True)
            self._verify(raw, payload)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def _verify(self, raw: bytes, payload: bytes) -> None:
        if isinstance(self._loaded, RSAPublicKey):
            self._loaded.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
        elif self._loaded is not None:
            self._loaded.verify(raw, payload)


def _kind_of(loaded: RSAPublicKey | Ed25519PublicKey) -> KeyKind:
    return KeyKind.RSA if isinstance(loaded, RSAPublicKey) else KeyKind.ED25519


def without_signature(raw: str) -> str:
    """The raw query or body without its `signature` pair; everything else stays as it is."""
    if "signature=" not in raw:
        return raw
    before, found, value = raw.rpartition("&signature=")
    if found and "&" not in value and "signature=" not in before:
        return before
    return "&".join(pair for pair in raw.split("&") if not pair.startswith("signature="))


def signed_payload(raw_query: str, raw_body: str) -> bytes:
    return (without_signature(raw_query) + without_signature(raw_body)).encode()


def sent_signature(raw: str) -> str:
    """The value of the `signature` pair, its percent-encoding undone; a plus sign of base64 stays one."""
    for pair in reversed(raw.split("&")):
        if pair.startswith("signature="):
            value = pair.removeprefix("signature=")
            return unquote_plus(value.replace("+", "%2B")) if "%" in value or "+" in value else value
    return ""
