"""Whether something would leave the testnet: a payload, the testnet flag, an `.env` file, a text that names a host.

Every reading is a closed set that refuses by default: whatever is not the one accepted form is refused, however
close it looks. Source: contract §4 (CLI), §9; exchange facts §1.1, §4 matrices A and I.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from worker.contracts.canonical_json import kind_of
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.contracts.states import TESTNET

FLAG_NAME = "BINANCE_TESTNET"
FLAG_VALUE = "true"
FLAG_LINE = f"{FLAG_NAME}={FLAG_VALUE}"

MAX_ENV_FILE_CHARS = 65_536
"""Far more than any real `.env`; bounds the work on a file that is not one."""

MAX_SHOWN_CHARS = 12
"""A flag value longer than this may be a key pasted into the wrong line, so only its length is shown."""

_ABSENT = object()

_MAINNET_HOSTS = frozenset(
    {
        "binance.com",
        "www.binance.com",
        "api.binance.com",
        "api-gcp.binance.com",
        "api1.binance.com",
        "api2.binance.com",
        "api3.binance.com",
        "api4.binance.com",
        "fapi.binance.com",
        "dapi.binance.com",
        "eapi.binance.com",
        "papi.binance.com",
        "sapi.binance.com",
        "stream.binance.com",
        "ws-api.binance.com",
        "stream-sbe.binance.com",
        "fix-oe.binance.com",
        "fix-dc.binance.com",
        "fix-md.binance.com",
        "demo-api.binance.com",
        "demo-stream.binance.com",
        "demo-ws-api.binance.com",
        "data-api.binance.vision",
        "data-stream.binance.vision",
        "api.binance.us",
        "api.binance.tr",
    }
)

# A host may end in the root dot and stand below a further label (`myapi.binance.com` is found as `binance.com`); it
# may not be the head of somebody else's domain (`api.binance.com.example.org`).
_MAINNET_PATTERN = re.compile(
    r"(?<![a-z0-9_-])(?:"
    + "|".join(re.escape(host) for host in sorted(_MAINNET_HOSTS, key=len, reverse=True))
    + r")(?![a-z0-9_-]|\.[a-z0-9_-])"
)

# Ideographic and half-width full stops separate labels in internationalised host names (RFC 3490 §3.1).
_LABEL_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})

_FLAG_ASSIGNED = re.compile(r"(?<![a-z0-9_])binance_testnet(?![a-z0-9_])[^a-z0-9_]{0,8}?[=:]")
# A value that begins with a quote and has no unescaped quote of that kind to end it.
_OPEN_QUOTE = re.compile(r"""\A[^=:]*[=:]\s*(["'`])(?!(?:(?!\1)[^\\]|\\.)*\1)""")
_FLAG_WORD = re.compile(r"(?<![a-z0-9_])binance_testnet(?![a-z0-9_])")


def require_testnet_payload(fields: Mapping[str, Any]) -> None:
    """Nothing when `fields` can only mean a dry run on the testnet.

    Raises: `Refusal` with `guard/environment_not_testnet`, `guard/dry_run_required` or
    `guard/exchange_connection_not_allowed`, in this order.
    Source: contract §5, §9.
    """
    environment = fields.get("environment", _ABSENT)
    if not isinstance(environment, str) or environment != TESTNET:
        found = "no environment" if environment is _ABSENT else f"environment {_shown(environment)}"
        raise EnvironmentNotAllowed(environment, message=f"payload has {found}, expected '{TESTNET}'")
    if fields.get("dry_run") is not True:
        raise Refusal(
            Reason.DRY_RUN_REQUIRED,
            f"dry_run must be true, found {_shown(fields.get('dry_run'))}; only dry runs exist in this phase",
        )
    connection = fields.get("exchange_connection_id", _ABSENT)
    if connection is _ABSENT:
        raise Refusal(
            Reason.EXCHANGE_CONNECTION_NOT_ALLOWED,
            "exchange_connection_id must be present and null, found no such field; send it as null",
        )
    if connection is not None:
        raise Refusal(
            Reason.EXCHANGE_CONNECTION_NOT_ALLOWED,
            f"exchange_connection_id must be null, found {kind_of(connection)}; no command may name one",
        )


def testnet_flag_problem(value: str | None) -> str | None:
    """Why `value` of the environment variable is not exactly `true`, or None when it is."""
    if value == FLAG_VALUE:
        return None
    found = "it is unset" if value is None else f"found {_shown(value)}"
    return f"{FLAG_NAME} must be exactly {FLAG_VALUE!r}, {found}; set {FLAG_LINE} in the environment"


def env_file_problem(text: str, environ_value: str | None) -> str | None:
    """Why the `.env` file with this `text` does not say exactly one `BINANCE_TESTNET=true`, or None when it does.

    Parsers of `.env` files disagree about export, quotes, comments after a value, duplicates and line endings. The
    one accepted spelling is the one they all read alike. Blank lines, comment lines and other keys are accepted, but
    not a value that runs over its line, for the flag could be hidden inside it. No value of the file is shown.

    Source: contract §4; exchange facts §4 matrix A.
    """
    problem = _env_text_problem(text) or _env_lines_problem(text.split("\n"))
    if problem is not None:
        return problem
    if environ_value != FLAG_VALUE:
        found = "leaves it unset" if environ_value is None else f"has {_shown(environ_value)}"
        return f".env says {FLAG_LINE} but the environment {found}; make both say {FLAG_VALUE!r}"
    return None


def mainnet_hosts() -> frozenset[str]:
    """Production and demo hosts of the exchange, in lower case; none of them may be named anywhere.

    A pattern over domains would be wrong: `data-api.binance.vision` is production and `testnet.binance.vision` is
    not. Source: exchange facts §1.1.
    """
    return _MAINNET_HOSTS


def names_mainnet(text: str) -> str | None:
    """The first production host that `text` names, in normal form, or None.

    Letter case, a trailing dot, percent-encoding, invisible characters, full-width letters and the other full stops
    of internationalised names make no difference, as they make none to a resolver. A subdomain of a listed host
    counts as that host. A homoglyph is another host and does not count.
    """
    found = _MAINNET_PATTERN.search(_host_form(text))
    return found.group() if found else None


def _host_form(text: str) -> str:
    decoded = unquote(unquote(text))
    if decoded.isascii():  # nothing to take out or to normalise; nearly every text is so, and the walk takes long
        return decoded.casefold()
    visible = "".join(char for char in decoded if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", visible.translate(_LABEL_DOTS)).casefold()


def _env_text_problem(text: str) -> str | None:
    if len(text) > MAX_ENV_FILE_CHARS:
        return f".env must have at most {MAX_ENV_FILE_CHARS} characters, found {len(text)}; is it the right file?"
    if text.startswith("\ufeff"):
        return ".env begins with a byte order mark; save it as plain UTF-8"
    # `splitlines` knows every line break that some parser honours; `\n` is the only one that all do.
    if text and text.splitlines() != text.removesuffix("\n").split("\n"):
        return ".env has a line break other than a line feed (CRLF, form feed, U+2028 …); save it with Unix line ends"
    return None


def _env_lines_problem(lines: list[str]) -> str | None:
    accepted: list[int] = []
    for number, line in enumerate(lines, start=1):
        if line == FLAG_LINE:
            accepted.append(number)
        elif line.strip() and not line.lstrip(" \t").startswith("#"):
            problem = _other_line_problem(line)
            if problem is not None:
                return f".env line {number} {problem}"
    if not accepted:
        return f".env has no line {FLAG_LINE}; add it"
    if len(accepted) > 1:
        return f".env has {FLAG_LINE} on lines {', '.join(map(str, accepted[:5]))}; keep one"
    return None


def _other_line_problem(line: str) -> str | None:
    """Why a line that is neither blank, comment nor the accepted flag cannot stay, or None."""
    folded = _folded(line)
    key = re.split("[=:]", folded, maxsplit=1)[0]
    if _FLAG_WORD.search(key) or _FLAG_ASSIGNED.search(folded):
        return f"writes {FLAG_NAME} another way; write exactly {FLAG_LINE}, nothing before or after it"
    if line.endswith("\\"):
        return "ends in a backslash, which some parsers join with the next line; write the value on one line"
    if _OPEN_QUOTE.search(line):
        return "opens a quote and does not close it; write the value on one line"
    return None


def _folded(text: str) -> str:
    """`text` in lower case with full-width letters made plain and invisible characters dropped."""
    visible = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Cc") or char == "\t")
    return unicodedata.normalize("NFKC", visible).casefold()


def _shown(value: object) -> str:
    """`value` as far as it may stand in a message: short strings, null and booleans; else only its kind."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str() if len(value) <= MAX_SHOWN_CHARS:
            return ascii(value)
        case str():
            return f"a string of {len(value)} characters"
        case _:
            return kind_of(value)
