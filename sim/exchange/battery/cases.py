"""The cases, as `tables/battery.toml` holds them."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import msgspec

from sim.exchange.tables import table

Security = Literal["none", "key", "signed", "wrong_signature", "too_old", "ahead", "unknown_key", "no_key"]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. `keep` names what of the answer later steps may fill in."""

    request: str
    security: Security = "none"
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    keep: Mapping[str, str] = msgspec.field(default_factory=dict)


class BatteryCase(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A numbered request and what must be answered.

    `code` is the API's error code, 0 for none; `shape` what the body is; `keys` exactly those of the object, or of each
    object of a list, `optional` ones aside; `values` what stands in some of them, as text.
    """

    number: str
    words: str
    status: int
    code: int = 0
    shape: Literal["", "object", "list", "list of 12"] = ""
    keys: tuple[str, ...] | None = None
    optional: tuple[str, ...] = ()
    values: Mapping[str, str] = msgspec.field(default_factory=dict)
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()

    @property
    def expected(self) -> str:
        """Status, code and shape in a few words."""
        return " ".join(str(part) for part in (self.status, self.code or "", self.shape) if part)


@cache
def battery() -> tuple[BatteryCase, ...]:
    """All cases, by number."""
    return msgspec.convert(table("battery.toml")["case"], tuple[BatteryCase, ...])
