"""The official SDK's response models as a second judge: whether they read the double's answers, and all of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from sim.exchange.tables import table

PACKAGE: Final = "binance-sdk-spot"
_MODULES: Final = {
    "rest": "binance_sdk_spot.rest_api.models",
    "ws": "binance_sdk_spot.websocket_api.models",
    "stream": "binance_sdk_spot.websocket_streams.models",
    "event": "binance_sdk_spot.websocket_api.models",
}


def is_installed() -> bool:
    """Whether the SDK is there to be asked."""
    try:
        import_module("binance_sdk_spot")
    except ImportError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What became of an answer: why the model cannot read it, and the keys that it does not know."""

    problem: str = ""
    unknown: frozenset[str] = frozenset()


@cache
def _models(part: str) -> ModuleType:
    return import_module(_MODULES[part])


def model_name(part: str, row: str) -> str | None:
    """The model that reads the answers of that row; None where the SDK has none."""
    found: str | None = table("sdk_models.toml")[part].get(row)
    return found


def read(part: str, name: str, value: Any) -> Reading:
    """Reads the value with that model as the SDK does, its strict types kept."""
    model: Any = getattr(_models(part), name)
    fields = getattr(model, "model_fields", {})
    is_one_of_several = hasattr(model, "is_oneof_model")
    # Two models of the WebSocket API are those of the REST API, and know no envelope.
    if part == "ws" and "result" not in fields and not is_one_of_several:
        value = value["result"]
    if isinstance(value, list) and not hasattr(model, "is_array") and not is_one_of_several:
        readings = [read(part, name, each) for each in value]
        problems = [each.problem for each in readings if each.problem]
        return Reading(
            problem=problems[0] if problems else "", unknown=frozenset().union(*(each.unknown for each in readings))
        )
    try:
        instance = _made(model, value)
    except ValueError as error:
        return Reading(problem=" ".join(str(error).split())[:200])
    return Reading(unknown=frozenset(_unknown(instance, value)))


def _made(model: Any, value: Any) -> Any:
    try:
        return model.from_dict(value)
    except AttributeError:
        # The models of klines fail in their own code; the SDK then does this.
        return model.model_validate(value)


def _unknown(instance: Any, value: Any) -> Iterator[str]:
    """The keys of the value that no model in the tree has a field for."""
    fields = getattr(type(instance), "model_fields", None)
    if isinstance(instance, list) and isinstance(value, list):
        for part, each in zip(instance, value, strict=False):
            yield from _unknown(part, each)
    elif fields is not None and "actual_instance" in fields:
        yield from _unknown(instance.actual_instance, value)
    elif fields is not None and isinstance(value, dict):
        known = {field.alias or name: name for name, field in fields.items()}
        for key, each in value.items():
            if key in known:
                yield from _unknown(getattr(instance, known[key]), each)
            else:
                yield key
