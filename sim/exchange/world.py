"""`World`: one exchange with its own clock, prices, accounts, limits, faults and memory.

    world = World(clock=Clock.standing_at(1_781_506_395_799_000))
    world.open_account("bot", key=ApiKey(api_key="k" * 64, account="bot", secret="s"))
    answer = handle(world, Request.of("GET", "/api/v3/time"))

A world knows no transport and no thread: whoever serves it calls it from one thread at a time.
"""

import random
import string
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sim.errors import SimError
from sim.exchange.amounts import exact
from sim.exchange.barriers import Barriers
from sim.exchange.book import Level
from sim.exchange.clock import SECOND, Clock
from sim.exchange.commission import CommissionRates, default_rates
from sim.exchange.engine import Engine
from sim.exchange.events import Deposited, Events, ServerShutsDown, Subscriber, WorldWiped
from sim.exchange.faults import FaultPlan
from sim.exchange.keys import ApiKey
from sim.exchange.ledger import Account, Ledger
from sim.exchange.limits import Limits
from sim.exchange.listen_keys import ListenKeys
from sim.exchange.market import Market, Path, market_by_hand, market_on_path
from sim.exchange.order import Order
from sim.exchange.prices import PricePath, default_path
from sim.exchange.request_log import RequestLog
from sim.exchange.rules import ExchangeRules, recorded_rules
from sim.exchange.script import scripted
from sim.exchange.stream_faults import StreamFaultPlan
from sim.exchange.tables import table
from sim.exchange.tape import MAX_TIME_US
from sim.guard.refusal import Layer, refusal, shown

# Base64 has two signs beside letters and digits.
_ONLY_LETTERS: Final = bytes.maketrans(b"+/", b"xy")
_LETTERS: Final = string.ascii_letters + string.digits
# A clock that jumps further than this many steps of a path finds the price there without the trades on the way.
MAX_STEPS_AT_ONCE: Final = 500_000


def _check_positive(what: str, amount: Decimal) -> None:
    if amount <= 0:
        raise SimError("exchange/bad_amount", f"expected {what} above zero, found {amount}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How an account began, and so what it has again after a wipe."""

    balances: Mapping[str, Decimal]
    rates: CommissionRates
    pays_in_discount_asset: bool


class World:
    """One exchange. `moving` False: prices stand at `prices`, and books are empty, until somebody sets them."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        rules: ExchangeRules | None = None,
        seed: int = 1,
        moving: bool = True,
        prices: Mapping[str, Decimal] | None = None,
        step_s: int | None = None,
        history_s: int | None = None,
    ) -> None:
        path = table("world.toml")["path"]
        self.clock = clock or Clock()
        self.rules = rules or recorded_rules()
        self.events = Events()
        self.keys: dict[str, ApiKey] = {}
        self.faults = FaultPlan()
        self.stream_faults = StreamFaultPlan()
        self.barriers = Barriers()
        self.requests = RequestLog()
        # Hosts that somebody asked a skin for and that the double does not answer for.
        self.refused_hosts: list[str] = []
        self._seed = seed
        self._moving = moving
        self._prices = dict(prices or {})
        self.step_us = (step_s or path["step_s"]) * SECOND
        self._history_us = (path["history_s"] if history_s is None else history_s) * SECOND
        self._openings: dict[str, Opening] = {}
        self._begin()

    def _begin(self) -> None:
        """A fresh exchange with nothing on it."""
        self._playing_us: int | None = None
        # Before this moment no path has anything to play.
        self._next_play_us = 0
        self._chance = random.Random(self._seed)
        self.limits = Limits(self.rules)
        self.ledger = Ledger()
        self.listen_keys = ListenKeys(self.new_key, self.events)
        now_us = self.clock.now_us()
        self.markets: dict[str, Market] = {symbol: self._new_market(symbol, now_us) for symbol in self.rules.symbols}
        self.engine = Engine(
            ledger=self.ledger,
            markets=self.markets,
            events=self.events,
            now_us=self.now_us,
            new_client_order_id=self.new_client_order_id,
            on_first_fill=self._count_first_fill,
        )

    def _new_market(self, symbol: str, now_us: int) -> Market:
        rules = self.rules.symbols[symbol]
        price = self._prices.get(symbol)
        path = default_path(rules, seed=self._seed, now_us=now_us, step_us=self.step_us)
        if self._moving and price is None and path is not None:
            return market_on_path(rules, path, now_us=now_us, history_us=self._history_us)
        return market_by_hand(rules, price or (path.start_price if path is not None else Decimal(1)))

    def now_us(self) -> int:
        """The exchange's time; while the past is caught up with, the moment that is played."""
        return self.clock.now_us() if self._playing_us is None else self._playing_us

    def open_account(
        self,
        name: str,
        *,
        key: ApiKey | None = None,
        balances: Mapping[str, Decimal] | None = None,
        rates: CommissionRates | None = None,
        pays_in_discount_asset: bool = False,
    ) -> Account:
        """A new account with these balances (else the usual ones), and the key that acts for it.

        Raises SimError `exchange/account_exists` or `exchange/key_exists`.
        """
        if balances is None:
            balances = {asset: Decimal(text) for asset, text in table("world.toml")["balances"].items()}
        opening = Opening(
            balances=dict(balances), rates=rates or default_rates(), pays_in_discount_asset=pays_in_discount_asset
        )
        account = self._open(name, opening)
        self._openings[name] = opening
        if key is not None:
            self.add_key(key)
        return account

    def _open(self, name: str, opening: Opening) -> Account:
        uid = 350_000_000 + len(self.ledger.accounts)
        account = self.ledger.open(name, uid=uid, balances=opening.balances)
        account.rates = opening.rates
        account.pays_in_discount_asset = opening.pays_in_discount_asset
        return account

    def add_key(self, key: ApiKey) -> None:
        """From now on requests with that key act for its account.

        Raises SimError `exchange/key_exists`, or `exchange/no_account` where the account is not there.
        """
        if key.api_key in self.keys:
            raise SimError("exchange/key_exists", "that API key is already there; give another one")
        if key.account not in self.ledger.accounts:
            raise SimError("exchange/no_account", f"there is no account {key.account}; open it first")
        self.keys[key.api_key] = key

    def account(self, name: str) -> Account:
        """Raises SimError `exchange/no_account`."""
        found = self.ledger.accounts.get(name)
        if found is None:
            raise SimError("exchange/no_account", f"there is no account {name}; open it first")
        return found

    def market(self, symbol: str) -> Market:
        """Raises SimError `exchange/no_symbol`."""
        found = self.markets.get(symbol)
        if found is None:
            raise SimError("exchange/no_symbol", f"there is no symbol {symbol}; the rules name those there are")
        return found

    def refuse_host(self, host: str) -> None:
        """Effects: a host that the double does not answer for is kept, and recorded as the guard's refusal."""
        self.refused_hosts.append(host)
        refusal(Layer.EXCHANGE_DOUBLE, f"expected a request for testnet or loopback, found one for {shown(host)}")

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls `subscriber` with every event from now on; the function returned ends that. A wipe ends nothing."""
        return self.events.subscribe(subscriber)

    def catch_up(self) -> None:
        """Plays what the paths say happened since the last look, each step at its own time."""
        now_us = self.clock.now_us()
        self.listen_keys.expire(now_us)
        if now_us < self._next_play_us:
            return
        next_us = []
        for market in self.markets.values():
            if market.path is not None:
                self._play(market, market.path, market.path.step_at(now_us))
                next_us.append(market.path.moment(market.next_step) or MAX_TIME_US)
        self._next_play_us = min(next_us, default=MAX_TIME_US)

    def _play(self, market: Market, path: Path, last: int) -> None:
        with exact():
            for step in range(max(market.next_step, last - MAX_STEPS_AT_ONCE), last + 1):
                self._playing_us = path.moment(step)
                # Quotes that nobody meets or hears of need not be made: the next step replaces them.
                if step == last or market.stops or market.book.has_orders or self.events.subscribers:
                    self.engine.requote(market, path.quotes(step))
                self.engine.print(market, path.trade(step, market.tape.next_id))
                market.next_step = step + 1
        self._playing_us = None

    def deposit(self, name: str, asset: str, amount: Decimal) -> None:
        """Adds to a free balance, or takes from it.

        Raises SimError `exchange/no_account`, or `exchange/overdrawn` where less is free.
        """
        account = self.account(name)
        self.ledger.deposit(account, asset, amount)
        if self.events.subscribers:
            self.events.emit(Deposited(account=account, asset=asset, amount=amount, time_us=self.now_us()))

    def set_price(self, symbol: str, price: Decimal) -> None:
        """The market of the symbol leaves its path and trades at `price`, with the usual quotes around it.

        Raises SimError `exchange/no_symbol`, or `exchange/bad_amount` for a price that is not positive.
        """
        market = self.market(symbol)
        _check_positive("a price", price)
        still = self._still_path(market, price)
        step = still.step_at(self.now_us())
        with exact():
            market.path = None
            self.engine.requote(market, still.quotes(step))
            self.engine.print(market, still.trade(step, market.tape.next_id, time_us=self.now_us()))

    def set_book(self, symbol: str, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """The market leaves its path and quotes these levels, best first.

        Raises SimError `exchange/no_symbol`, or `exchange/bad_book` where the levels are not sorted or cross.
        """
        market = self.market(symbol)
        prices = [price for price, _ in [*reversed(bids), *asks]]
        if prices != sorted(set(prices)) or any(price <= 0 or quantity <= 0 for price, quantity in [*bids, *asks]):
            raise SimError("exchange/bad_book", "expected positive levels, best first, the best bid below the best ask")
        with exact():
            market.path = None
            self.engine.replace_quotes(market, bids, asks)

    def follow_script(self, symbol: str, points: Sequence[tuple[int, Decimal]]) -> None:
        """The market goes through these moments, in microseconds, and prices, and stands at the last.

        Moments that have passed are left out. Raises SimError `exchange/no_symbol`, or `exchange/bad_script`.
        """
        market = self.market(symbol)
        self.follow(symbol, scripted(points, self._still_path(market, market.tape.last_price)))

    def follow(self, symbol: str, path: Path) -> None:
        """The market follows that path from its next step on. Raises SimError `exchange/no_symbol`."""
        market = self.market(symbol)
        market.path = path
        market.next_step = path.step_at(self.now_us()) + 1
        self._next_play_us = 0

    def outside_trades(self, symbol: str, side: str, quantity: Decimal, limit: Decimal | None = None) -> Decimal:
        """The outside buys or sells; how much it traded.

        Raises SimError `exchange/no_symbol`, or `exchange/bad_amount` for a quantity that is not positive.
        """
        _check_positive("a quantity", quantity)
        with exact():
            return self.engine.outside_order(self.market(symbol), side, quantity, limit)

    def order(self, symbol: str, order_id: int) -> Order:
        """The order of whichever account. Raises SimError `exchange/no_order`."""
        for account in self.ledger.accounts.values():
            found = account.orders.get(symbol, {}).get(order_id)
            if found is not None:
                return found
        raise SimError("exchange/no_order", f"there is no order {order_id} of {symbol}; it may have been wiped")

    def fill(self, symbol: str, order_id: int, quantity: Decimal) -> None:
        """Fills part of a resting order at its own price.

        Raises SimError `exchange/no_order`, or `exchange/not_resting` where that much of it is not in the book.
        """
        order = self.order(symbol, order_id)
        try:
            with exact():
                self.engine.fill(order, quantity)
        except ValueError as error:
            raise SimError("exchange/not_resting", str(error)) from error

    def wipe(self) -> None:
        """The monthly reset: orders and trades go, balances are as at the opening; keys, faults and the log stay."""
        self._begin()
        for name, opening in self._openings.items():
            self._open(name, opening)
        self.events.emit(WorldWiped(time_us=self.now_us()))

    def announce_shutdown(self) -> None:
        """Tells every connection that the server is about to shut down; nothing else happens."""
        self.events.emit(ServerShutsDown(time_us=self.now_us()))

    def breaches(self) -> list[str]:
        """One sentence for each rule of the books that does not hold."""
        with exact():
            return self.ledger.breaches()

    def new_client_order_id(self) -> str:
        """As the exchange makes them: 22 letters and digits."""
        drawn = b2a_base64(self._chance.getrandbits(136).to_bytes(17, "little"), newline=False)
        return drawn[:22].translate(_ONLY_LETTERS).decode()

    def new_key(self) -> str:
        """64 letters and digits."""
        return "".join(self._chance.choices(_LETTERS, k=64))

    def new_uuid(self) -> str:
        digits = self._chance.getrandbits(128).to_bytes(16, "little").hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _count_first_fill(self, account: str, is_maker: bool) -> None:
        self.limits.first_fill(account, self.now_us(), is_maker=is_maker)

    def _still_path(self, market: Market, price: Decimal) -> PricePath:
        shape: dict[str, Any] = table("world.toml")["prices"].get(market.symbol, {})
        return PricePath(
            seed=self._seed,
            symbol=market.symbol,
            start_price=price,
            tick=market.rules.tick,
            lot_step=market.rules.step,
            quantity=Decimal(shape.get("quantity", 1)),
            spread_ticks=shape.get("spread_ticks", 1),
            levels=table("world.toml")["path"]["ladder_levels"],
            step_us=self.step_us,
            origin=0,
            octaves=(),
        )
