"""Secrets taken out of a text by their form: connection strings, headers, tokens, keys, assignments.

Each rule reads the text once, left to right; a pattern that could start at every character of a long run is anchored
to the start of the run or bounded in length, so no input costs more than a fixed number of passes.
"""

import base64
import binascii
import re

from worker.guards.secret_names import is_secret_name

SCRUBBED = "[scrubbed]"

MAX_TEXT_CHARS = 65_536
"""A longer text is taken out whole."""

# After the scheme: user, colon, password, at-sign. First form: no blank, up to the last at-sign of the run, because
# passwords hold slashes and at-signs. Second form: a password with blanks, unless a port number stands there.
_URL_PASSWORD = re.compile(
    r"(?<=://)(?:[^\s/@:]{0,128}:[^\s]{0,512}@|[^\s/@:]{0,128}:(?!\d{1,5}(?:[/?#\s]|\Z))[^\n]{0,256}@)"
)
_URL_LONE_TOKEN = re.compile(r"(?<=://)[^\s/@:]{20,256}@")
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{1,64}-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,64}-----")
_BEARER = re.compile(r"(?i)\bbearer[ \t]+(?!\[scrubbed\])[^\s\"']{4,}")
_BASIC = re.compile(r"(?i)\bbasic[ \t]+([A-Za-z0-9+/_-]{6,}={0,2})")

# A name and what follows it up to its value. The name begins at the start of a word, so each word is read once.
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_])(?P<name>-{0,2}[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99})"
    r"(?P<sep>\\{0,3}[\"'`]?\]?\s{0,8}(?:=>|:=|==?|:|%3[dDaA])\s{0,8}|(?P<option>\s{1,8}))"
)
_ASSIGNING = ("=", ":", "%3", "--")
"""Each assignment holds one of these."""

_VALUES = (
    re.compile(r"\\{1,3}\"(?P<value>[^\"\\]*)\\{1,3}\""),
    re.compile(r"\"(?P<value>(?:[^\"\\]|\\.)*)\"", re.DOTALL),
    re.compile(r"'(?P<value>(?:[^'\\]|\\.)*)'", re.DOTALL),
    re.compile(r"`(?P<value>[^`]*)`"),
    re.compile(r"[\"'`](?P<value>[^\n]*)"),
    re.compile(r"(?P<value>(?i:bearer|basic|digest|token|apikey)[ \t]+\S+)"),
    re.compile(r"(?P<value>\S+)"),
)
"""How a value is written, the first that fits: quoted, opened and never closed, a header's scheme and value, bare."""

_NOTHING = frozenset({"", SCRUBBED, "null", "None"})

# 18 characters are the shortest header and claims a token can have.
_RUN = re.compile(r"[A-Za-z0-9_\-.+/=]{18,}")
_TOKEN_BEGIN = "eyJ"
_WORD_RUN = re.compile(r"[A-Za-z0-9]{20,}")
_CLOUD_SECRET = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9][A-Za-z0-9/+]{39}(?![A-Za-z0-9/+])")
_KNOWN_TOKEN = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[A-Za-z0-9_\-]{16,64}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,255}|AIza[A-Za-z0-9_\-]{30,64}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,255}"
    r"|pypi-[A-Za-z0-9_\-]{16,255}|npm_[A-Za-z0-9]{30,64}|sk-[A-Za-z0-9_\-]{20,255})"
)
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")

# What stands before a digest that is no secret: its name, or the head of an idempotency key that ends in one.
_DIGEST_BEFORE = re.compile(
    r"(?i)(?:(?:checksum|sha-?256|sha-?512|digest|fingerprint|hash)[\"']?\W{0,4}"
    r"|baseline:apply:|mh:drift:[A-Z0-9]{2,32}:[0-9]{1,12}:)\Z"
)
_BEFORE_CHARS = 64

MIN_KEY_CHARS = 64
"""An exchange key has 64 letters and digits; nothing that we write in plain words is that long."""

MIN_MIXED_CHARS = 32
"""Letters of both cases and digits in one word this long are a key, not a name."""


def scrub_text(text: str, *, keep_digests: bool = False) -> str:
    """`text` with each secret replaced by `[scrubbed]`.

    `keep_digests` keeps lower-case hex words of 64 or 128 digits, for texts known to hold checksums; without it they
    stay only behind a word that names them.
    """
    if len(text) > MAX_TEXT_CHARS:
        return SCRUBBED
    text = _without_pem(text)
    # A rule whose every match holds a fixed text is run only where that text stands: most log lines hold none.
    if "://" in text:
        text = _URL_PASSWORD.sub(f"{SCRUBBED}@", text)
        text = _URL_LONE_TOKEN.sub(f"{SCRUBBED}@", text)
    text = _BEARER.sub(lambda found: f"{found.group()[:6]} {SCRUBBED}", text)
    text = _BASIC.sub(_basic, text)
    if any(sign in text for sign in _ASSIGNING):
        text = _without_assigned(text)
    if _TOKEN_BEGIN in text:
        text = _RUN.sub(lambda found: _run(found.group()), text)
    text = _KNOWN_TOKEN.sub(SCRUBBED, text)
    if "/" in text or "+" in text:
        text = _CLOUD_SECRET.sub(_cloud_secret, text)
    return _WORD_RUN.sub(lambda found: _word_run(found, keep_digests), text)


def _without_pem(text: str) -> str:
    """`text` without its PEM blocks; one that never ends is taken out to the end of the text."""
    parts: list[str] = []
    position = 0
    while (begin := _PEM_BEGIN.search(text, position)) is not None:
        end = _PEM_END.search(text, begin.end())
        parts += [text[position : begin.start()], SCRUBBED]
        position = end.end() if end else len(text)
    return "".join([*parts, text[position:]])


def _without_assigned(text: str) -> str:
    """`text` without the values assigned to secrets' names (`password='…'`, `"token": "…"`, `--secret …`)."""
    parts: list[str] = []
    position = 0
    search_from = 0
    while (found := _ASSIGNMENT.search(text, search_from)) is not None:
        search_from = found.end()
        name = found["name"]
        if (found["option"] and not name.startswith("--")) or not is_secret_name(name):
            continue
        start, end = _value_span(text, found.end())
        if text[start:end] not in _NOTHING:
            parts += [text[position:start], SCRUBBED]
            position = end
        search_from = max(end, search_from)
    return "".join([*parts, text[position:]])


def _value_span(text: str, start: int) -> tuple[int, int]:
    """Where the value that begins at `start` stands, without its quotes, so that JSON stays JSON."""
    for pattern in _VALUES:
        found = pattern.match(text, start)
        if found:
            return found.span("value")
    return start, start


def _basic(found: re.Match[str]) -> str:
    """The header without its value when that decodes to `user:password`, else as it was: "basic" is also a word."""
    encoded = found.group(1).translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        return found.group()
    return f"{found.group()[:5]} {SCRUBBED}" if b":" in decoded else found.group()


def _run(run: str) -> str:
    """`run` whole, or `[scrubbed]` when it holds a JSON Web Token: `eyJ` is how each begins."""
    start = run.find(_TOKEN_BEGIN)
    return SCRUBBED if start >= 0 and "." in run[start:] else run


def _cloud_secret(found: re.Match[str]) -> str:
    """One word of forty characters whole, or `[scrubbed]` when it has the form of a cloud account's secret."""
    word = found.group()
    return SCRUBBED if _is_mixed(word) and not word.isalnum() else word


def _word_run(found: re.Match[str], keep_digests: bool) -> str:
    """One word of letters and digits, or `[scrubbed]` when it is a key."""
    word = found.group()
    if _HEX_DIGEST.fullmatch(word):
        before = found.string[max(0, found.start() - _BEFORE_CHARS) : found.start()]
        return word if keep_digests or _DIGEST_BEFORE.search(before) else SCRUBBED
    if len(word) >= MIN_KEY_CHARS or (len(word) >= MIN_MIXED_CHARS and _is_mixed(word)):
        return SCRUBBED
    return word


def _is_mixed(word: str) -> bool:
    return any(map(str.isupper, word)) and any(map(str.islower, word)) and any(map(str.isdigit, word))
