"""What goes wrong in a month, drawn by seed: faults of requests and streams, resets, bans, keys, clocks, kills."""

import random
from collections.abc import Callable
from typing import Any, Final

from sim.exchange.clock import SECOND
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.stream_faults import StreamFault, StreamFaultKind
from sim.exchange.world import World

_ORDER: Final = {"path": "/api/v3/order"}
_LATE: Final = {**_ORDER, "method": "POST", "after_commit": True}
_EARLY: Final = {**_ORDER, "method": "POST"}

REQUEST_FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "error", "error": "disconnected", **_LATE},
    {"kind": "error", "error": "timeout", **_LATE},
    {"kind": "error", "error": "timeout", **_EARLY},
    {"kind": "error", "error": "unexpected_response", **_LATE},
    {"kind": "error", "error": "server_busy", **_EARLY},
    {"kind": "error", "error": "too_many_orders", "filled": ("50", "10 SECOND"), "retry_after_s": 60, **_EARLY},
    {"kind": "error", "error": "key_rejected", **_EARLY},
    {"kind": "error", "error": "weight_exceeded", "filled": ("6000", "1 MINUTE"), "retry_after_s": 2400},
    {"kind": "status", "status": 503, **_LATE},
    {"kind": "status", "status": 403},
    {"kind": "status", "status": 451, **_EARLY},
    {"kind": "drop", **_LATE},
    {"kind": "drop", **_EARLY},
    {"kind": "drop", **_ORDER, "method": "DELETE", "after_commit": True},
    {"kind": "reset", **_LATE},
    {"kind": "cut", **_EARLY},
    {"kind": "truncate", **_EARLY},
    {"kind": "content_type", **_EARLY},
    {"kind": "hang", **_LATE},
    {"kind": "hang"},
    # Longer than the bot waits: the order is carried out behind its back.
    {"kind": "delay", "seconds": 12.0, **_EARLY},
    {"kind": "skew", "skew_ms": 9_000, **_EARLY},
    {"kind": "skew", "skew_ms": -9_000, **_EARLY},
    {"kind": "slow_engine", "lag_ms": 6_000, **_EARLY},
    {"kind": "stale", "lag_ms": 20_000, "method": "GET", "path": "/api/v3/(order|myTrades)", "times": 3},
    {"kind": "ban", "seconds": 4000.0},
    {"kind": "redirect", "status": 307, "location": "https://testnet.binance.vision/", **_EARLY},
)
STREAM_FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "drop", "stream": "userData"},
    {"kind": "duplicate", "stream": "userData", "times": 4},
    {"kind": "reorder", "stream": "userData"},
    {"kind": "silence", "stream": "userData"},
    {"kind": "close", "stream": "userData"},
    {"kind": "cut", "stream": "userData"},
    {"kind": "cut", "stream": "btcusdt@trade"},
    {"kind": "refuse", "times": 2},
)


class Troubles:
    """Draws for one month. `met` counts what was really met, by what it is."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._switched_off = False
        self.made: dict[str, int] = {}

    def stir(self) -> None:
        """Effects: perhaps something lies in wait from now on, or has happened."""
        if self._switched_off and self._chance.random() < 0.5:
            self._switch_keys()
        drawn = self._chance.random()
        if drawn < 0.30:
            fault = self._chance.choice(REQUEST_FAULTS)
            self._world.faults.arm(Fault(**{**fault, "kind": FaultKind(fault["kind"]), "name": _name(fault)}))
        elif drawn < 0.45:
            fault = self._chance.choice(STREAM_FAULTS)
            self._world.stream_faults.arm(
                StreamFault(**{**fault, "kind": StreamFaultKind(fault["kind"]), "name": f"stream {fault['kind']}"})
            )
        elif drawn < 0.60:
            self._happen()

    def _happen(self) -> None:
        name, do = self._chance.choice(self._happenings())
        if do():
            self.made[name] = self.made.get(name, 0) + 1

    def _happenings(self) -> list[tuple[str, Callable[[], bool]]]:
        often = [
            ("part of an order filled", self._fill_part),
            ("all of an order filled", self._fill_all),
            ("key switched off", self._switch_off),
            ("clock of the exchange moved", self._skew),
        ]
        return [*often * 4, ("reset", self._reset)]

    def settle(self) -> None:
        """Effects: nothing lies in wait any more, and keys are on."""
        self.made = self.met()
        self._world.faults.clear()
        self._world.stream_faults.clear()
        if self._switched_off:
            self._switch_keys()

    def met(self) -> dict[str, int]:
        """How often each kind of trouble was met, by name."""
        found = dict(self.made)
        for each in (*self._world.faults.told(), *self._world.stream_faults.told()):
            if each["met"]:
                found[each["name"]] = found.get(each["name"], 0) + each["met"]
        return dict(sorted(found.items()))

    def _fill_part(self) -> bool:
        return self._fill(part=3)

    def _fill_all(self) -> bool:
        return self._fill(part=1)

    def _fill(self, *, part: int) -> bool:
        resting = [order for order in self._world.account("bot").all_open() if order.is_working]
        if not resting:
            return False
        order = self._chance.choice(resting)
        step = self._world.rules.symbols[order.symbol].step
        self._world.fill(order.symbol, order.order_id, max(step, order.remaining // part // step * step))
        return True

    def _switch_off(self) -> bool:
        was_on = not self._switched_off
        if was_on:
            self._switch_keys()
        return was_on

    def _switch_keys(self) -> None:
        self._switched_off = not self._switched_off
        for key in self._world.keys.values():
            key.enabled = not self._switched_off

    def _skew(self) -> bool:
        self._world.clock.advance(us=self._chance.choice((-7, 3, 600, -600)) * SECOND)
        return True

    def _reset(self) -> bool:
        self._world.wipe()
        return True


def _name(fault: dict[str, Any]) -> str:
    what = fault.get("error") or fault.get("status") or ""
    return f"{fault['kind']} {what}".strip() + (" after commit" if fault.get("after_commit") else "")
