"""Which names announce a secret, and which announce a digest that only looks like one."""

import re
import unicodedata
from functools import lru_cache

MAX_NAME_CHARS = 200
"""A longer name is read to here only."""

_ANYWHERE = (
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "authorization",
    "signature",
    "conninfo",
    "mnemonic",
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sessionkey",
    "listenkey",
    "sessionid",
    "seedphrase",
    "recoveryphrase",
    "databaseurl",
    "databaseuri",
    "connectionstring",
    "connectionuri",
    "setcookie",
)
"""Read in the name without its separators, so `api-key`, `apiKey` and `X_API_KEY` are one."""

_AS_WORD = frozenset(
    {"pwd", "pass", "pw", "pin", "dsn", "auth", "bearer", "cookie", "cookies", "jwt", "otp", "totp", "sig", "hmac"}
)
"""Too short to be read inside other words."""

_OUR_WORDS = frozenset({"secretfound"})
"""Names of our own that sound like a secret: the reason code `validation/secret_found`."""

_DIGEST = re.compile(r"checksum|sha_?(?:1|224|256|384|512)|digest|fingerprint|hash|idempotency_key")

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATOR = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """True when what stands under `name` is to be taken for a secret.

    Remembered: each line of the log has the same few words in it, and they were half the time of writing it.
    """
    words = _words(name)
    compact = "".join(words)
    if compact in _OUR_WORDS:
        return False
    return any(part in compact for part in _ANYWHERE) or not _AS_WORD.isdisjoint(words)


def holds_digests(name: str) -> bool:
    """True when `name` announces checksums, so that 64 hex digits under it are none of anybody's business."""
    return _DIGEST.search("_".join(_words(name))) is not None


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", name[:MAX_NAME_CHARS])
    return [word for word in _SEPARATOR.split(_CAMEL.sub("_", plain).casefold()) if word]
