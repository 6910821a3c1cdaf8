"""JSON as the stack reads and signs it: `Decimal` numbers, no duplicate keys, one canonical form.

Source: contract §5; RFC 8785 (JSON Canonicalization Scheme).
"""

import encodings.utf_16_be  # noqa: F401 - rfc8785 sorts keys by it and would load it in the middle of a command
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import rfc8785

from worker.contracts.errors import Reason, Refusal

MAX_SIGNIFICANT_DIGITS = 15
"""Any decimal of up to 15 digits survives the IEEE double that RFC 8785 prints numbers through."""

_FIRST_LONG: int = 10**MAX_SIGNIFICANT_DIGITS

MAX_DEPTH = 32
"""Deeper nesting than any payload has; bounds recursion on hostile input."""

UNSIGNED_KEYS = frozenset({"checksum", "expires_at"})
"""Left out of the checksum: itself, and the time that the database decides."""


def parse(text: str) -> Any:
    """The parsed JSON value, numbers with a fraction or exponent as `Decimal`.

    Raises: `Refusal` (`validation/payload_malformed`) for invalid JSON, duplicate keys, NaN, Infinity, a number beyond
    15 significant digits, or nesting beyond 32 levels.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
        raise _malformed(f"not JSON at line {error.lineno} column {error.colno}: {problem}") from error
    except RecursionError as error:
        raise _malformed(f"nesting goes deeper than {MAX_DEPTH} levels") from error
    if _may_be_deep_or_half(text):
        _check(value, depth=0)
    return value


def dumps_canonical(value: Any) -> bytes:
    """`value` in canonical form (RFC 8785, UTF-8).

    A `Decimal` becomes a JSON number in its shortest form (0.20 → 0.2).

    Raises: `Refusal` (`validation/payload_malformed`) for a Python float, a `Decimal` beyond 15 significant digits or
    not finite, or a value JSON has no form for.
    """
    if _check(value, depth=0):
        return _ENCODER.encode(value).encode("ascii")
    try:
        return rfc8785.dumps(_as_doubles(value))
    except rfc8785.CanonicalizationError as error:
        raise _malformed(f"no canonical form: {error}") from error


def kind_of(value: Any) -> str:
    """What JSON calls the kind of `value`, with its article: `a string`, `null`; for a value JSON has not, Python's."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | Decimal():
            return "a number"
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return f"a {type(value).__name__}"


def number_or_kind(value: Any) -> str:
    """A number as far as 40 characters, anything else only by its kind: a text may be a secret."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return str(value)[:40] if is_number else kind_of(value)


def checksum(payload: Mapping[str, Any]) -> str:
    """The sha256 (64 hex digits) of `payload` in canonical form, without `checksum` and `expires_at`.

    It is not keyed: it finds drift, not an attacker.
    """
    signed = {key: value for key, value in payload.items() if key not in UNSIGNED_KEYS}
    return hashlib.sha256(dumps_canonical(signed)).hexdigest()


def _may_be_deep_or_half(text: str) -> bool:
    """False when parsed `text` needs no second look; numbers and keys are checked while they are read.

    Depth takes as many brackets, half a surrogate pair takes an escape or a character beyond ASCII.
    """
    return text.count("{") + text.count("[") > MAX_DEPTH or "\\u" in text or not text.isascii()


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise _malformed("a number's exponent goes beyond what any number here needs") from error
    if len(text) > MAX_SIGNIFICANT_DIGITS or "e" in text or "E" in text:
        _check_digits(number)
    return number


def _integer(text: str) -> int | Decimal:
    if len(text) <= MAX_SIGNIFICANT_DIGITS:
        return int(text)
    number = Decimal(text)
    _check_digits(number)
    # Beyond 4,300 digits int() itself refuses; a Decimal of that length is refused by the digit limit instead.
    return int(text) if len(text) <= 20 else number


def _refuse_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not a JSON number; send a finite one")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise _malformed(f"key {twice[:64]!r} stands twice in one object; send it once")
    return found


_DECODER = json.JSONDecoder(
    parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object
)
"""Made once: `json.loads` makes one per call when it is given hooks."""


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
)
"""The standard library's C encoder: its form is the canonical one where `_check` says so, in a third of the time."""


def _check(value: Any, *, depth: int) -> bool:
    """True when `value` holds no number but short integers and no text beyond ASCII.

    How RFC 8785 writes other numbers, and in which order it puts other keys, is its own.

    Raises: `Refusal` unless `value` has one exact canonical form.
    """
    if depth > MAX_DEPTH:
        raise _malformed(f"nesting goes deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return True
        case str():
            _check_text(value)
            return value.isascii()
        case int():
            if abs(value) < _FIRST_LONG:
                return True
            _check_digits(Decimal(value))
            return False
        case Decimal():
            _check_digits(value)
            return False
        case float():
            raise _malformed("a Python float has no exact decimal value; use Decimal")
        case dict():
            is_plain = True
            for key, item in value.items():
                if not isinstance(key, str):
                    raise _malformed(f"object keys are strings, found {kind_of(key)}")
                _check_text(key)
                is_plain &= key.isascii() & _check(item, depth=depth + 1)
            return is_plain
        case list() | tuple():
            is_plain = True
            for item in value:
                is_plain &= _check(item, depth=depth + 1)
            return is_plain
        case _:
            raise _malformed(f"JSON has no form for {type(value).__name__}")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _malformed(
            f"half a surrogate pair at character {error.start} is no text; send whole characters"
        ) from error


def _check_digits(number: Decimal) -> None:
    if not number.is_finite():
        raise _malformed("a number is finite")
    written = number.as_tuple().digits
    digits = len("".join(map(str, written)).strip("0")) if len(written) > MAX_SIGNIFICANT_DIGITS else len(written)
    if digits > MAX_SIGNIFICANT_DIGITS or not -300 <= number.adjusted() <= 300:
        raise _malformed(
            f"a number has at most {MAX_SIGNIFICANT_DIGITS} significant digits and a magnitude within "
            f"1e±300, found {digits} digits"
        )


def _as_doubles(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
        case int() if abs(value) >= 2**53:
            # Up to 15 significant digits, so the double is this very number.
            return float(value)
        case dict():
            return {key: _as_doubles(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_doubles(item) for item in value]
        case _:
            return value


def _malformed(message: str) -> Refusal:
    return Refusal(Reason.PAYLOAD_MALFORMED, message)
