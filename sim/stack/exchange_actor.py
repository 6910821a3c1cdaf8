"""The exchange of one story: a world of its own on the shared server, moved, broken and looked at from outside."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sim.clock import VirtualClock
from sim.errors import SimError
from sim.fake_bot.portfolio import parse_portfolio
from sim.fake_bot.reading import orders_in_flight, read_journal
from sim.timeline import Timeline

if TYPE_CHECKING:  # the double's server takes a third of a second to import, which other stories do not have
    from sim.exchange.world import World
    from sim.stack.evidence_exchange import ExchangeWitness
    from sim.stack.exchange_stage import ExchangeStage
    from sim.stack.zygote import Zygote

ACCOUNT: Final = "bot"
ACTOR: Final = "exchange"
PRICES: Final[Mapping[str, str]] = {"BTCUSDT": "65000", "ETHUSDT": "3200", "BNBUSDT": "600"}
BALANCES: Final[Mapping[str, str]] = {"BTC": "1", "ETH": "10", "BNB": "100", "USDT": "100000"}
BOT_TIMEOUT_S: Final = "0.5"
"""How long a bot waits for the double, which answers in a millisecond or was told not to."""

HISTORY_DAYS: Final = 31
"""So many days of a moving market have passed when a story begins; the risk engine asks for thirty closes."""

STEP_S: Final = 3600

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOrder:
    """An order as the exchange has it."""

    client_order_id: str
    order_id: int
    symbol: str
    side: str
    type: str
    status: str
    quantity: Decimal
    executed: Decimal


@dataclass(slots=True)
class ExchangeActor:
    """The exchange of one story. It comes into being when the story first speaks of it."""

    home: Path
    timeline: Timeline
    clock: VirtualClock
    stage: "Callable[[], ExchangeStage]"
    _stands_at: dict[str, str] = field(default_factory=dict)
    _key: tuple[str, str] | None = field(default=None, repr=False)
    _witness: "ExchangeWitness | None" = field(default=None, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether the story has an exchange."""
        return self._witness is not None

    @property
    def secrets(self) -> list[str]:
        """What must stand nowhere in a log, a file or a row."""
        return [] if self._key is None else [self._key[1]]

    def open(
        self,
        *,
        moving: bool = False,
        seed: int = 1,
        balances: Mapping[str, str] = BALANCES,
        commission: str = "0",
        pays_in_bnb: bool = False,
    ) -> None:
        """Effects: a world of its own, whose clock is the story's; prices stand at `PRICES` unless it is `moving`.

        `commission` is the rate of either side. Raises: `SimError` (`stage/exchange_open`) where there is one already.
        """
        from sim.exchange.commission import CommissionRates, rates_of
        from sim.exchange.keys import ApiKey
        from sim.exchange.world import World
        from sim.stack.evidence_exchange import ExchangeWitness
        from sim.stack.followed_clock import FollowedClock

        if self.is_open:
            raise SimError("stage/exchange_open", "the story has its exchange already; open it before its first use")
        world = World(
            clock=FollowedClock(self.clock),
            seed=seed,
            moving=moving,
            step_s=STEP_S if moving else None,
            history_s=HISTORY_DAYS * 86_400 if moving else None,
        )
        self._key = (secrets.token_hex(32), secrets.token_hex(32))
        rates = CommissionRates(standard=rates_of({"maker": Decimal(commission), "taker": Decimal(commission)}))
        world.open_account(
            ACCOUNT,
            key=ApiKey(api_key=self._key[0], account=ACCOUNT, secret=self._key[1]),
            balances={asset: Decimal(amount) for asset, amount in balances.items()},
            rates=rates,
            pays_in_discount_asset=pays_in_bnb,
        )
        self._stands_at = {} if moving else dict(PRICES)
        self._witness = ExchangeWitness(self.home, ACCOUNT)
        world.subscribe(self._witness.hear)
        self._quote(world)
        self.stage().server.put(world)
        self.timeline.record(actor=ACTOR, kind="exchange.opened", subject=ACCOUNT, seed=seed, moving=moving)

    def environment(self) -> dict[str, str]:
        """What a bot that trades here is told."""
        self._opened()
        assert self._key is not None
        host = f"127.0.0.1:{self.stage().server.port}"
        return {
            "EXCHANGE_URL": f"http://{host}",
            "EXCHANGE_STREAM_URL": f"ws://{host}",
            "EXCHANGE_WS_API_URL": f"ws://{host}",
            "EXCHANGE_API_KEY": self._key[0],
            "EXCHANGE_API_SECRET": self._key[1],
            "EXCHANGE_TIMEOUT_S": BOT_TIMEOUT_S,
        }

    def zygote(self) -> "Zygote":
        """The warm process from which bots that trade here are forked."""
        return self.stage().zygote

    def call(self, function: "Callable[[World], Result]") -> Result:
        """What `function` returns of the world, run between two requests."""
        self._opened()
        return self.stage().server.call(function)

    def price(self, symbol: str, price: str) -> None:
        """Effects: the market trades at that price; orders that it crosses are filled."""
        self.call(lambda world: world.set_price(symbol, Decimal(price)))
        self._record("exchange.priced", symbol, price=price)

    def fill(self, order: ExchangeOrder, quantity: str) -> None:
        """Effects: so much of a resting order is filled at its price."""
        self.call(lambda world: world.fill(order.symbol, order.order_id, Decimal(quantity)))
        self._record("exchange.filled", order.client_order_id, quantity=quantity)

    def arm(self, kind: str, **fault: Any) -> None:
        """Effects: a fault of requests lies in wait, as `sim.exchange.faults` describes it."""
        from sim.exchange.faults import fault_from

        armed = fault_from({"kind": kind, **fault})
        self.call(lambda world: world.faults.arm(armed))
        self._record("exchange.fault_armed", kind, **fault)

    def arm_stream(self, kind: str, **fault: Any) -> None:
        """Effects: a fault of streams lies in wait, as `sim.exchange.stream_faults` describes it."""
        from sim.exchange.stream_faults import stream_fault_from

        armed = stream_fault_from({"kind": kind, **fault})
        self.call(lambda world: world.stream_faults.arm(armed))
        self._record("exchange.fault_armed", kind, **fault)

    def clear_faults(self) -> None:
        """Effects: no fault lies in wait any more."""

        def clear(world: "World") -> None:
            world.faults.clear()
            world.stream_faults.clear()

        self.call(clear)
        self._record("exchange.faults_cleared", ACCOUNT)

    def met(self) -> int:
        """How many requests and frames the armed faults have met so far."""
        return self.call(
            lambda world: sum(int(each["met"]) for each in (*world.faults.told(), *world.stream_faults.told()))
        )

    def switch_keys(self, *, enabled: bool) -> None:
        """Effects: the account's keys are accepted, or not."""

        def switch(world: "World") -> None:
            for key in world.keys.values():
                key.enabled = enabled

        self.call(switch)
        self._record("exchange.keys_switched", ACCOUNT, enabled=enabled)

    def skew(self, by: timedelta) -> None:
        """Effects: the exchange's clock is ahead of the story's by so much, or behind where it is negative."""
        self.call(lambda world: world.clock.advance(us=by // timedelta(microseconds=1)))
        self._record("exchange.skewed", ACCOUNT, by_s=by.total_seconds())

    def reset(self) -> None:
        """Effects: the monthly reset of the testnet: orders and trades are gone, balances are as at the opening."""
        self.call(self._wipe)
        self._record("exchange.reset", ACCOUNT)

    def deposit(self, asset: str, amount: str) -> None:
        """Effects: so much came in from somewhere, or went where it is negative."""
        self.call(lambda world: world.deposit(ACCOUNT, asset, Decimal(amount)))
        self._record("exchange.deposited", ACCOUNT, asset=asset, amount=amount)

    def deliver_late(self) -> None:
        """Effects: the last order that was sent and met a fault before it was carried out arrives now.

        Raises: `SimError` (`stage/nothing_late`) where there is none.
        """
        from sim.exchange.core import handle
        from sim.exchange.wire import Request
        from sim.stack.evidence_exchange import LATE

        assert self._key is not None
        headers = {"X-MBX-APIKEY": self._key[0]}

        def deliver(world: "World") -> None:
            lost = [entry for entry in world.requests.since() if entry.path == "/api/v3/order" and entry.status == 0]
            if not lost:
                raise SimError("stage/nothing_late", "no order was lost on its way; arm a fault that loses one")
            target = f"{lost[-1].path}?{lost[-1].query}"
            handle(world, Request.of("POST", target, headers=headers, address=LATE))

        self.call(deliver)
        self._record("exchange.delivered_late", ACCOUNT)

    def other_account(self) -> dict[str, str]:
        """The environment of a bot that trades for another account. Effects: the world has one."""
        from sim.exchange.keys import ApiKey

        key = ApiKey(api_key=secrets.token_hex(32), account="another", secret=secrets.token_hex(32))
        self.call(lambda world: world.open_account("another", key=key))
        return {"EXCHANGE_API_KEY": key.api_key, "EXCHANGE_API_SECRET": key.secret}

    def orders(self) -> list[ExchangeOrder]:
        """The account's orders as the exchange has them now, oldest first for each symbol."""

        def read(world: "World") -> list[ExchangeOrder]:
            return [
                ExchangeOrder(
                    client_order_id=order.client_order_id,
                    order_id=order.order_id,
                    symbol=order.symbol,
                    side=order.side,
                    type=order.type,
                    status=order.status,
                    quantity=order.quantity,
                    executed=order.executed,
                )
                for of_symbol in world.account(ACCOUNT).orders.values()
                for order in of_symbol.values()
            ]

        return self.call(read)

    def holds(self) -> dict[str, Decimal]:
        """What the account holds of each asset, free or set aside; nothing that is zero."""

        def read(world: "World") -> dict[str, Decimal]:
            balances = world.account(ACCOUNT).balances
            return {asset: each.free + each.locked for asset, each in balances.items() if each.free or each.locked}

        return self.call(read)

    def portfolio(self) -> dict[str, Decimal]:
        """What the bot's portfolio says it holds of each asset; nothing that is zero."""
        content = (self.home / "live_portfolio.json").read_bytes()
        return parse_portfolio(content, name="live_portfolio.json").holdings()

    def in_flight(self) -> tuple[str, ...]:
        """The client ids of the orders that the bot's journal says are in flight."""
        return orders_in_flight(read_journal(self.home).lines)

    def reasons(self) -> list[str]:
        """What the bot's journal says its portfolio was written for, in order."""
        return [line.reason for line in read_journal(self.home).lines if line.reason is not None]

    def drop_connections(self) -> None:
        """Effects: every stream that there is ends now, as when the exchange is rolled over; others may be made."""
        self.stage().server.end_streams()
        self._record("exchange.streams_ended", ACCOUNT)

    def asked(self) -> int:
        """How many requests have come so far, of whatever kind."""
        return self.call(lambda world: world.requests.total)

    def requests(self, method: str, path: str) -> int:
        """How many such requests have come so far; `path` is behind `/api/v3/`."""
        return self.call(
            lambda world: sum(
                (entry.method, entry.path) == (method, f"/api/v3/{path}") for entry in world.requests.since()
            )
        )

    def breaches(self) -> list[str]:
        """What does not add up in the books of the world; nothing, whatever a bot does."""
        return self.call(lambda world: world.breaches())

    def look(self) -> None:
        """Effects: an `exchange.looked` event, where the story has an exchange; no bot may be in mid-cycle."""
        if self._witness is not None:
            detail = self.call(self._witness.look)
            self.timeline.record(actor="witness", kind="exchange.looked", subject=ACCOUNT, at=self._now(), **detail)

    def _quote(self, world: "World") -> None:
        """Effects: a market that stands has quotes again, which a new world and a reset lack."""
        for symbol, price in self._stands_at.items():
            world.set_price(symbol, Decimal(price))

    def _wipe(self, world: "World") -> None:
        world.wipe()
        self._quote(world)

    def _opened(self) -> None:
        if not self.is_open:
            self.open()

    def _record(self, kind: str, subject: str, **detail: Any) -> None:
        self.timeline.record(actor=ACTOR, kind=kind, subject=subject, at=self._now(), **detail)
        self.look()

    def _now(self) -> datetime:
        return self.clock.now()
