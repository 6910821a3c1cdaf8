"""Refusals that any operation can answer, each with a request that brings it about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sim.exchange.faults import Fault, FaultKind
from sim.exchange.operations import Operation
from sim.exchange.parameters import Accepted
from sim.exchange.rules import ExchangeRules
from sim.exchange.scorecard.cases import CASES, limited_rules
from sim.exchange.scorecard.stage import ADDRESS, NOW_US, Asked, Given, Reply, Stage, Way
from sim.exchange.tables import table

Change = Callable[[Stage], None]


def as_it_is(stage: Stage) -> None:
    """The stage stays as it is."""


def recorded() -> ExchangeRules | None:
    """The rules as recorded."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provocation:
    """A request and the refusal that it must bring: the error by name, and what its text is filled with."""

    error: str
    filled: tuple[object, ...] = ()
    asked: Asked
    before: Change = as_it_is
    rules: Callable[[], ExchangeRules | None] = recorded
    lively: bool = True

    def reply(self, way: Way) -> Reply:
        """What the double answers."""
        stage = Stage(self.rules(), lively=self.lively)
        self.before(stage)
        return way.ask(stage, self.asked)


def usual(operation: str) -> Given:
    """What a request of the operation sends that is taken."""
    cases = CASES.get(operation)
    if cases is None:
        return {}
    case = next(iter(cases.values()))
    return {**case.given, **case.prepare(Stage())}


def of_any(operation: Operation, *, by_message: bool) -> Iterator[Provocation]:
    """Whatever an operation does, it can answer these."""
    given = usual(operation.name)
    taken = Asked(operation=operation.name, given=given)
    yield from _limits(taken)
    yield from _parameters(operation, taken, by_message=by_message)
    if operation.needs_key:
        yield from _keys(taken)
    if operation.is_signed:
        yield from _signatures(taken)
    for error in ("unknown", "disconnected", "unexpected_response", "timeout", "server_busy"):
        yield Provocation(error=error, asked=taken, before=_armed(error))
    if not by_message:
        unit = {"X-MBX-TIME-UNIT": "NANOSECOND"}
        yield Provocation(error="sbe_disabled", asked=replace(taken, headers={"X-MBX-SBE": "3:1"}))
        yield Provocation(error="invalid_time_unit", asked=replace(taken, headers=unit))
        yield Provocation(error="request_too_large", asked=replace(taken, raw="&x=" + "x" * 20_000))


def _armed(error: str) -> Change:
    def before(stage: Stage) -> None:
        stage.world.faults.arm(Fault(kind=FaultKind.ERROR, error=error))

    return before


def _limits(taken: Asked) -> Iterator[Provocation]:
    def ban(stage: Stage) -> None:
        stage.session()
        stage.world.limits.ban(ADDRESS, NOW_US, 120)

    def heavy(stage: Stage) -> None:
        stage.session()
        stage.world.limits.charge(ADDRESS, NOW_US, 6000)

    until_ms = NOW_US // 1000 + 120_000
    yield Provocation(error="banned", filled=(until_ms,), asked=taken, before=ban)
    yield Provocation(error="weight_exceeded", filled=(6000, "1 MINUTE"), asked=taken, before=heavy)

    def once(stage: Stage) -> None:
        # Connecting is a request, too.
        stage.session()

    yield Provocation(
        error="too_many_requests",
        asked=taken,
        before=once,
        rules=lambda: limited_rules("RAW_REQUESTS", 1),
        lively=False,
    )


def _parameters(operation: Operation, taken: Asked, *, by_message: bool) -> Iterator[Provocation]:
    accepted, given = operation.parameters, taken.given
    most, sent = len(accepted.by_wire), len(given) + 2 * operation.is_signed
    crowd = {f"x{number}": "1" for number in range(most + 1 - sent)}
    yield Provocation(error="too_many_parameters", filled=(most, most + 1), asked=also(taken, **crowd))
    if sent < most:
        yield Provocation(error="unread_parameters", filled=(sent, sent + 1), asked=also(taken, x="1"))
    for wire in accepted.mandatory:
        without = replace(taken, without=frozenset({wire}))
        yield Provocation(error="mandatory_parameter", filled=(wire,), asked=without)
    for wire in accepted.by_wire:
        yield from _texts(accepted, taken, wire)
    if by_message:
        return
    if given:
        first = next(iter(given))
        yield Provocation(error="duplicate_parameter", asked=replace(taken, raw=f"&{first}={given[first]}"))
    if "symbol" in accepted.by_wire:
        others = {key: value for key, value in given.items() if key != "symbol"}
        garbled = replace(taken, given=others, raw="&symbol=%FF")
        yield Provocation(error="illegal_characters_somewhere", asked=garbled)


def _texts(accepted: Accepted, taken: Asked, wire: str) -> Iterator[Provocation]:
    """What may be wrong with the text of one parameter."""
    if wire == "signature":
        return
    rules = table("parameters.toml")
    kind = rules["parameters"][accepted.by_wire[wire].name]
    if wire not in accepted.mandatory:
        yield Provocation(error="empty_parameter", filled=(wire,), asked=also(taken, **{wire: ""}))
    if not isinstance(kind, str):
        filled = (wire,) if kind["error"] == "invalid_value" else ()
        yield Provocation(error=kind["error"], filled=filled, asked=also(taken, **{wire: "NONSENSE"}))
        return
    rule = rules["kind"][kind]
    if rule["legal"] != ".*":
        yield Provocation(error="illegal_characters", filled=(wire, rule["legal"]), asked=also(taken, **{wire: "~"}))
    if "max" in rule:
        beyond = str(rule["max"] + 1)
        yield Provocation(error="parameter_overflow", filled=(wire,), asked=also(taken, **{wire: beyond}))


def _keys(taken: Asked) -> Iterator[Provocation]:
    yield Provocation(error="key_format", asked=replace(taken, key="short"))
    yield Provocation(error="key_rejected", asked=replace(taken, key="z" * 64))

    def disable(stage: Stage) -> None:
        for key in stage.world.keys.values():
            key.enabled = False

    yield Provocation(error="key_rejected", asked=taken, before=disable)


def _signatures(taken: Asked) -> Iterator[Provocation]:
    yield Provocation(error="bad_signature", asked=replace(taken, signature="0" * 64))
    yield Provocation(error="outside_window", asked=replace(taken, shift_ms=-5001))
    yield Provocation(error="ahead_of_server", asked=replace(taken, shift_ms=1000))
    yield Provocation(error="receive_window_too_long", asked=also(taken, recvWindow="60001"))
    yield Provocation(error="too_much_precision", filled=("recvWindow",), asked=also(taken, recvWindow="5000.0001"))


def also(taken: Asked, **more: str) -> Asked:
    """The same request with these parameters, too."""
    return replace(taken, given={**taken.given, **more})
