"""What a client returned or raised, as plain JSON values."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

_SCALARS: Final = (str, int, float, bool, type(None))
_FIELDS: Final = ("code", "status_code", "message", "error_message", "retry_after")


def plain(value: Any) -> Any:
    """Models as dictionaries, Decimal as text; what is no value at all is named by its class."""
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(each) for each in value]
    if callable(getattr(value, "data", None)):  # an answer of the SDK, whose values are read on demand
        return plain(value.data())
    if callable(getattr(value, "to_dict", None)):
        return plain(_as_dictionary(value))
    return {"object": type(value).__qualname__}


def _as_dictionary(model: Any) -> Any:
    """A model of the SDK. Its own way fails where the exchange sends lists of lists, as klines are."""
    try:
        return model.to_dict()
    except AttributeError:
        return model.model_dump(by_alias=True)


def told(error: BaseException) -> dict[str, Any]:
    """The class of an exception, those it is derived from, its text and what a caller can read off it."""
    return {
        "type": type(error).__qualname__,
        "kinds": [kind.__qualname__ for kind in type(error).__mro__],
        "text": str(error),
        "fields": {name: plain(getattr(error, name)) for name in _FIELDS if hasattr(error, name)},
        "arguments": plain(error.args),
    }
