"""JSON as a worker must read and sign it, and the two ways a command can go wrong.

Written from RFC 8785 and from docs/bring_your_own_worker.md, with the standard library alone.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

MAX_DIGITS = 15
MAX_MAGNITUDE = 300
MAX_DEPTH = 32
MAX_LITERAL_CHARS = 4096
"""A number written longer than this is refused unread; Python itself stops at 4,300 digits."""

# From here on RFC 8785 writes a number with an exponent.
_POINT_MAX = 21
_POINT_MIN = -6


class Refused(Exception):
    """A rule said no: the command ends `failed` with this reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Transient(Exception):
    """Database or disk failed: the command stays for recovery, the process ends with 1."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def read_json(text: str) -> Any:
    """The value in `text`; numbers with a fraction or an exponent are `Decimal`.

    Raises: `Refused` (`validation/payload_malformed`).
    """
    try:
        value = json.loads(
            text, parse_int=_integer, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise _malformed("nested too deep to read") from error
    _require_readable(value, MAX_DEPTH)
    return value


def canonical(value: Any) -> str:
    """`value` in the form of RFC 8785.

    Raises: `Refused` (`validation/payload_malformed`) for what has no such form, half a surrogate pair included.
    """
    _require_readable(value, MAX_DEPTH)
    return _written(value)


def checksum(fields: Mapping[str, Any]) -> str:
    """sha256, as 64 hex digits, over the canonical form of all fields but `checksum` and `expires_at`."""
    signed = {name: value for name, value in fields.items() if name not in ("checksum", "expires_at")}
    return hashlib.sha256(canonical(signed).encode("utf-8")).hexdigest()


def _written(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return _number(Decimal(value))
        case str():
            return json.dumps(value, ensure_ascii=False)
        case dict():
            names = sorted(value, key=lambda name: name.encode("utf-16-be"))
            return "{" + ",".join(f"{_written(name)}:{_written(value[name])}" for name in names) + "}"
        case _:
            return "[" + ",".join(map(_written, value)) + "]"


def _number(number: Decimal) -> str:
    """As ECMAScript writes it: up to 15 digits are what the nearest double is printed with, so none is needed."""
    if number == 0:
        return "0"
    digits = "".join(map(str, number.as_tuple().digits)).lstrip("0").rstrip("0")
    point = number.adjusted() + 1
    if _POINT_MIN < point <= 0:
        body = "0." + "0" * -point + digits
    elif 0 < point <= _POINT_MAX:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        body = f"{whole}.{fraction}" if fraction else whole
    else:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        body = f"{mantissa}e{point - 1:+d}"
    return "-" + body if number < 0 else body


def _require_readable(value: Any, depth: int) -> None:
    """Nothing when numbers are exact, names are text and nesting is bounded."""
    if depth < 0:
        raise _malformed(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return
        case str():
            _require_text(value)
        case int() | Decimal():
            _require_exact(Decimal(value))
        case dict() if all(isinstance(name, str) for name in value):
            for name, item in value.items():
                _require_text(name)
                _require_readable(item, depth - 1)
        case list() | tuple():
            for item in value:
                _require_readable(item, depth - 1)
        case _:
            raise _malformed(f"a {type(value).__name__} has no exact form in JSON")


def _require_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _malformed("a text holds half a surrogate pair, which UTF-8 has no form for") from error


def _require_exact(number: Decimal) -> None:
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        raise _malformed(f"a number must be finite and within 1e±{MAX_MAGNITUDE}")
    if significant_digits(number) > MAX_DIGITS:
        raise _malformed(f"a number must have at most {MAX_DIGITS} significant digits")


def significant_digits(number: Decimal) -> int:
    """How many digits a finite number has without zeros at either end."""
    return len("".join(map(str, number.as_tuple().digits)).strip("0"))


def _integer(text: str) -> int:
    if len(text) > MAX_LITERAL_CHARS:
        raise _malformed("a number is written too long")
    return int(text)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise _malformed("a number's exponent is beyond all reading") from error


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("a name stands twice in one object")
    return found


def _malformed(message: str) -> Refused:
    return Refused("validation/payload_malformed", message)
