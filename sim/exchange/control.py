"""The control plane, before any transport: a command by name, plain JSON values in and out.

It is no part of the API: nothing that a client of the exchange can send reaches it.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from sim.errors import SimError
from sim.exchange.clock import MS
from sim.exchange.commission import CommissionRates, rates_of
from sim.exchange.faults import fault_from
from sim.exchange.keys import ApiKey, KeyKind
from sim.exchange.prices import default_path
from sim.exchange.snapshot import snapshot
from sim.exchange.stream_faults import stream_fault_from
from sim.exchange.world import World


class Command(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every command is: its fields, all of them checked."""


class StandAt(Command):
    """The clock stands at this moment."""

    at_ms: int


class Advance(Command):
    """The clock moves on, or back; what the price paths say happened meanwhile is played."""

    ms: int


class Run(Command):
    """The clock runs with real time, shifted."""

    shift_ms: int = 0


class Price(Command):
    """A symbol's price stands here from now on."""

    symbol: str
    price: Decimal


class Book(Command):
    """A symbol's book of the outside: pairs of price and quantity, best first."""

    symbol: str
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class OutsideTrade(Command):
    """The outside takes from the book."""

    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    limit: Decimal | None = None


class FillOrder(Command):
    """Part of a resting order is filled."""

    symbol: str
    order_id: int
    quantity: Decimal


class FollowPath(Command):
    """A symbol follows the price path of that seed again."""

    symbol: str
    seed: int = 1


class Script(Command):
    """A symbol goes through these pairs of a moment in milliseconds and a price."""

    symbol: str
    prices: list[tuple[int, Decimal]]


class SymbolStatus(Command):
    """A symbol trades, or does not."""

    symbol: str
    status: Literal["TRADING", "HALT", "BREAK"]


class OpenAccount(Command):
    """A new account with a key. `rates` is the standard commission."""

    name: str
    api_key: str = ""
    secret: str = ""
    kind: KeyKind = KeyKind.HMAC
    public_key: str = ""
    balances: dict[str, Decimal] | None = None
    rates: dict[str, Decimal] | None = None
    pays_in_discount_asset: bool = False


class Deposit(Command):
    """An asset comes in, or goes out where negative."""

    account: str
    asset: str
    amount: Decimal


class SwitchKeys(Command):
    """All keys of an account are switched on or off."""

    account: str
    enabled: bool


class Arm(Command):
    """Faults to arm, as faults.py, or for streams stream_faults.py, describes them."""

    faults: list[Any]


class Clear(Command):
    """Faults to disarm: those of that name, or all."""

    name: str | None = None


class Barrier(Command):
    """A barrier by name."""

    name: str


class Since(Command):
    """Requests with a higher number."""

    number: int = 0


class Ban(Command):
    """An address is banned."""

    address: str
    seconds: int


class Nothing(Command):
    """No fields."""


def control(world: World, name: str, payload: Any) -> Any:
    """Carries out the command `name`; the result as plain values.

    Raises SimError `exchange/no_command`, `exchange/bad_command`, or what the command itself raises.
    """
    found = COMMANDS.get(name)
    if found is None:
        raise SimError("exchange/no_command", f"there is no command {name}; there are {', '.join(sorted(COMMANDS))}")
    shape, carry_out = found
    try:
        command = msgspec.convert({} if payload is None else payload, shape, strict=False)
    except msgspec.ValidationError as error:
        raise SimError("exchange/bad_command", f"expected the fields of {name}: {error}") from error
    if not _is_finite(msgspec.structs.astuple(command)):
        raise SimError("exchange/bad_command", f"expected finite amounts in {name}")
    return carry_out(world, command)


def _is_finite(value: object) -> bool:
    """Whether no amount in it is NaN or infinite."""
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, dict):
        return all(_is_finite(each) for each in value.values())
    return not isinstance(value, list | tuple) or all(_is_finite(each) for each in value)


def _advance(world: World, command: Advance) -> None:
    world.clock.advance(us=command.ms * MS)
    world.catch_up()


def _stand_at(world: World, command: StandAt) -> None:
    world.clock.stand_at(command.at_ms * MS)
    world.catch_up()


def _follow(world: World, command: FollowPath) -> None:
    market = world.market(command.symbol)
    path = default_path(market.rules, seed=command.seed, now_us=world.now_us(), step_us=world.step_us)
    if path is None:
        raise SimError("exchange/no_path", f"no price is known for {command.symbol} to begin with; set its price")
    world.follow(command.symbol, path)


def _follow_script(world: World, command: Script) -> None:
    world.follow_script(command.symbol, [(at_ms * MS, price) for at_ms, price in command.prices])


def _switch_status(world: World, command: SymbolStatus) -> None:
    world.market(command.symbol).status = command.status


def _open_account(world: World, command: OpenAccount) -> None:
    key = ApiKey(
        api_key=command.api_key,
        account=command.name,
        kind=command.kind,
        secret=command.secret,
        public_key=command.public_key,
    )
    world.open_account(
        command.name,
        key=key if command.api_key else None,
        balances=command.balances,
        rates=None if command.rates is None else CommissionRates(standard=rates_of(command.rates)),
        pays_in_discount_asset=command.pays_in_discount_asset,
    )


def _switch_keys(world: World, command: SwitchKeys) -> int:
    keys = [key for key in world.keys.values() if key.account == command.account]
    for key in keys:
        key.enabled = command.enabled
    return len(keys)


def _arm(world: World, command: Arm) -> int:
    faults = [fault_from(each) for each in command.faults]
    for fault in faults:
        world.faults.arm(fault)
    return len(faults)


def _arm_streams(world: World, command: Arm) -> int:
    faults = [stream_fault_from(each) for each in command.faults]
    for fault in faults:
        world.stream_faults.arm(fault)
    return len(faults)


Shape = type[Command]
CarryOut = Callable[[World, Any], Any]

COMMANDS: Mapping[str, tuple[Shape, CarryOut]] = MappingProxyType(
    {
        "clock/stand": (StandAt, _stand_at),
        "clock/advance": (Advance, _advance),
        "clock/run": (Run, lambda world, it: world.clock.run(shift_us=it.shift_ms * MS)),
        "price": (Price, lambda world, it: world.set_price(it.symbol, it.price)),
        "book": (Book, lambda world, it: world.set_book(it.symbol, it.bids, it.asks)),
        "trade": (
            OutsideTrade,
            lambda world, it: str(world.outside_trades(it.symbol, it.side, it.quantity, it.limit)),
        ),
        "fill": (FillOrder, lambda world, it: world.fill(it.symbol, it.order_id, it.quantity)),
        "path": (FollowPath, _follow),
        "script": (Script, _follow_script),
        "status": (SymbolStatus, _switch_status),
        "account": (OpenAccount, _open_account),
        "deposit": (Deposit, lambda world, it: world.deposit(it.account, it.asset, it.amount)),
        "keys": (SwitchKeys, _switch_keys),
        "faults/arm": (Arm, _arm),
        "faults/clear": (Clear, lambda world, it: world.faults.clear(it.name)),
        "faults": (Nothing, lambda world, _: world.faults.told()),
        "streams/faults/arm": (Arm, _arm_streams),
        "streams/faults/clear": (Clear, lambda world, it: world.stream_faults.clear(it.name)),
        "streams/faults": (Nothing, lambda world, _: world.stream_faults.told()),
        "streams/shutdown": (Nothing, lambda world, _: world.announce_shutdown()),
        "barrier/open": (Barrier, lambda world, it: world.barriers.open(it.name)),
        "barrier/shut": (Barrier, lambda world, it: world.barriers.shut(it.name)),
        "barrier/waiting": (Nothing, lambda world, _: world.barriers.waiting()),
        "ban": (Ban, lambda world, it: world.limits.ban(it.address, world.clock.now_us(), it.seconds)),
        "wipe": (Nothing, lambda world, _: world.wipe()),
        "requests": (Since, lambda world, it: [entry.told() for entry in world.requests.since(it.number)]),
        "refused_hosts": (Nothing, lambda world, _: list(world.refused_hosts)),
        "snapshot": (Nothing, lambda world, _: snapshot(world)),
        "breaches": (Nothing, lambda world, _: world.breaches()),
    }
)
