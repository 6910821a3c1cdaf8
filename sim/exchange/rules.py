"""The trading rules: symbols, filters and rate limits, as recorded from the testnet or as given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any

from sim.exchange.tables import table

_AMOUNTS = frozenset(
    {
        "minPrice", "maxPrice", "tickSize", "minQty", "maxQty", "stepSize", "minNotional", "maxNotional", "maxPosition",
        "bidMultiplierUp", "bidMultiplierDown", "askMultiplierUp", "askMultiplierDown", "multiplierUp",
        "multiplierDown",
    }
)  # fmt: skip
_UNIT_S = MappingProxyType({"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400})

Filter = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `limit` in each aligned window of `window_s` seconds."""

    kind: str
    interval: str
    interval_number: int
    limit: int

    @property
    def window_us(self) -> int:
        return _UNIT_S[self.interval] * self.interval_number * 1_000_000

    @property
    def header_suffix(self) -> str:
        """`10s`, `1m`, `1d`: what the headers call the window."""
        return f"{self.interval_number}{self.interval[0].lower()}"

    @property
    def spoken(self) -> str:
        """`10 SECOND`: what the error texts call the window."""
        return f"{self.interval_number} {self.interval}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolRules:
    """One symbol: what it is made of, what it allows, and its filters by type with Decimal amounts."""

    symbol: str
    base: str
    quote: str
    status: str
    order_types: frozenset[str]
    filters: Mapping[str, Filter]
    base_places: int
    quote_places: int
    permission_sets: tuple[frozenset[str], ...]
    payload: Mapping[str, Any]

    def allows(self, flag: str) -> bool:
        """The boolean of that name in the symbol's exchange information."""
        return bool(self.payload[flag])

    @property
    def stp_default(self) -> str:
        return str(self.payload["defaultSelfTradePreventionMode"])

    @property
    def stp_allowed(self) -> list[str]:
        return list(self.payload["allowedSelfTradePreventionModes"])

    @property
    def tick(self) -> Decimal:
        return self._amount("PRICE_FILTER", "tickSize")

    @property
    def step(self) -> Decimal:
        return self._amount("LOT_SIZE", "stepSize")

    def _amount(self, name: str, key: str) -> Decimal:
        amount: Decimal = self.filters[name][key]
        return amount


def parsed_filter(payload: Mapping[str, Any]) -> Filter:
    """The filter with its amounts as Decimal; counts and flags stay as they are."""
    return MappingProxyType({key: Decimal(value) if key in _AMOUNTS else value for key, value in payload.items()})


def parsed_symbol(payload: Mapping[str, Any]) -> SymbolRules:
    return SymbolRules(
        symbol=payload["symbol"],
        base=payload["baseAsset"],
        quote=payload["quoteAsset"],
        status=payload["status"],
        order_types=frozenset(payload["orderTypes"]),
        filters=MappingProxyType({each["filterType"]: parsed_filter(each) for each in payload["filters"]}),
        base_places=payload["baseAssetPrecision"],
        quote_places=payload["quoteAssetPrecision"],
        permission_sets=tuple(frozenset(each) for each in payload["permissionSets"]),
        payload=payload,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExchangeRules:
    """All rules of one exchange. Immutable, so that many worlds share one."""

    symbols: Mapping[str, SymbolRules]
    rate_limits: tuple[RateLimit, ...]
    filters: Mapping[str, Filter]
    payload: Mapping[str, Any]

    def limits_of(self, kind: str) -> tuple[RateLimit, ...]:
        return tuple(each for each in self.rate_limits if each.kind == kind)


def parsed_rules(payload: Mapping[str, Any]) -> ExchangeRules:
    """The rules of an exchange information payload.

    Raises KeyError for a payload that lacks what the testnet always sends, decimal.InvalidOperation for a broken
    amount.
    """
    return ExchangeRules(
        symbols=MappingProxyType({each["symbol"]: parsed_symbol(each) for each in payload["symbols"]}),
        rate_limits=tuple(
            RateLimit(
                kind=each["rateLimitType"],
                interval=each["interval"],
                interval_number=each["intervalNum"],
                limit=each["limit"],
            )
            for each in payload["rateLimits"]
        ),
        filters=MappingProxyType({each["filterType"]: parsed_filter(each) for each in payload["exchangeFilters"]}),
        payload=payload,
    )


@cache
def recorded_rules() -> ExchangeRules:
    """The rules as recorded from the testnet on 15 June 2026."""
    return parsed_rules(table("rules.json"))


def changed_rules(
    symbol: str, *, filters: Mapping[str, Mapping[str, Any]] | None = None, **flags: Any
) -> ExchangeRules:
    """The recorded rules with one symbol changed: filters by type (merged, or added where new), and top-level keys."""
    payload = json.loads(json.dumps(table("rules.json")))
    [found] = [each for each in payload["symbols"] if each["symbol"] == symbol]
    found.update(flags)
    by_type = {each["filterType"]: each for each in found["filters"]}
    for name, change in (filters or {}).items():
        by_type.setdefault(name, {"filterType": name}).update(change)
    found["filters"] = list(by_type.values())
    return parsed_rules(payload)
