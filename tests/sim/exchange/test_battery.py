"""The battery against the double: every case is as expected, and every case turns red where the double misbehaves."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from sim import cli_battery
from sim.cli import main
from sim.exchange.battery.cases import BatteryCase, battery
from sim.exchange.battery.play import Credentials, Player, Received, Sent
from sim.exchange.clock import Clock
from sim.exchange.core import handle
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.keys import ApiKey
from sim.exchange.skins.threads import served
from sim.exchange.wire import Request
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_US, SECRET, api_key

CREDENTIALS = Credentials(api_key=api_key("b"), secret=SECRET)
CASES = {case.number: case for case in battery()}
by_number = pytest.mark.parametrize("case", [pytest.param(case, id=number) for number, case in CASES.items()])

Answer = Callable[[Sent, Received], Received]


def open_world() -> World:
    """The usual prices at a moment that stands, and an account for the battery."""
    world = World(clock=Clock.standing_at(NOW_US))
    key = ApiKey(api_key=CREDENTIALS.api_key, account="battery", secret=CREDENTIALS.secret)
    world.open_account("battery", key=key)
    return world


def player(world: World, answer: Answer = lambda _, received: received) -> Player:
    """A player in process; `answer` may change what the double answers."""

    def send(sent: Sent) -> Received:
        answered = handle(world, Request.of(sent.method, sent.target, headers=sent.headers))
        return answer(sent, Received(status=answered.status, body=answered.body))

    return Player(send, CREDENTIALS)


def is_request_of(case: BatteryCase, sent: Sent) -> bool:
    """Whether it is the request that the case is about, or one like it."""
    return f"{sent.method} {sent.target.partition('?')[0]}" == case.request


def differences(verdict_of: Player, number: str) -> tuple[str, ...]:
    return verdict_of.play(CASES[number]).differences


@by_number
def test_case_is_answered_as_expected(case: BatteryCase) -> None:
    world = open_world()

    verdict = player(world).play(case)

    assert (verdict.seen != "not reached", verdict.differences) == (True, ())
    assert world.breaches() == []
    assert not any(order.is_open for order in world.account("battery").orders.get("BTCUSDT", {}).values())


@by_number
def test_case_turns_red_where_the_double_answers_something_else(case: BatteryCase) -> None:
    def spoil(sent: Sent, received: Received) -> Received:
        spoilt = Received(status=200, body=b'{"unexpected":1,"serverTime":1781506395799,"price":"65000.00"}')
        return spoilt if is_request_of(case, sent) else received

    assert player(open_world(), spoil).play(case).differences != ()


@by_number
def test_case_turns_red_where_the_double_breaks_down(case: BatteryCase) -> None:
    world = open_world()
    method, path = case.request.split(" ")
    world.faults.arm(Fault(kind=FaultKind.STATUS, status=502, method=method, path=path, times=0))

    verdict = player(world).play(case)

    assert verdict.differences != ()
    assert verdict.seen in {"not reached", "502 no JSON"}


def spoilt_order(old: bytes, new: bytes) -> Answer:
    """An order that is answered with another text in one place."""

    def spoil(sent: Sent, received: Received) -> Received:
        is_order = sent.method == "POST" and sent.target.startswith("/api/v3/order?")
        return Received(status=received.status, body=received.body.replace(old, new) if is_order else received.body)

    return spoil


@pytest.mark.parametrize(
    ("number", "old", "new", "says"),
    [
        ("301", b'"status":"NEW"', b'"status":"FILLED"', "status FILLED, expected NEW"),
        ("301", b'"fills":', b'"trades":', "missing fills"),
        ("302", b'"transactTime"', b'"price":"1","transactTime"', "surplus price"),
        ("312", b"-1013", b"-1111", "code -1111"),
        ("312", b"NOTIONAL", b"MIN_NOTIONAL", "msg Filter failure: MIN_NOTIONAL, expected Filter failure: NOTIONAL"),
    ],
)
def test_difference_is_named(number: str, old: bytes, new: bytes, says: str) -> None:
    assert says in differences(player(open_world(), spoilt_order(old, new)), number)


def test_request_that_is_accepted_and_should_not_be_is_told() -> None:
    world = open_world()
    world.faults.arm(Fault(kind=FaultKind.SKEW, skew_ms=-120_000, path="/api/v3/account"))

    assert differences(player(world), "209") == ("status 200", "code 0")


def test_step_before_that_fails_is_told_as_such() -> None:
    world = open_world()
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="server_busy", method="POST", path="/api/v3/order"))

    verdict = player(world).play(CASES["405"])

    assert (verdict.seen, verdict.differences) == ("not reached", ("POST /api/v3/order: 503 -1008",))


def test_order_that_cannot_be_taken_back_is_told() -> None:
    world = open_world()
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="server_busy", method="DELETE"))

    assert differences(player(world), "301") == ("afterwards DELETE /api/v3/order: 503 -1008",)


def test_exchange_that_does_not_answer_is_told() -> None:
    def silent(_: Sent) -> Received:
        raise ConnectionError("refused")

    assert differences(Player(silent, CREDENTIALS), "101") == ("no answer: ConnectionError",)


def run(*words: str, **environment: str | None) -> Result:
    """`sim exchange battery …`, outside of CI unless the environment says so."""
    given = {"CI": None, cli_battery.KEY: None, cli_battery.SECRET: None, **environment}
    return CliRunner().invoke(main, ["exchange", "battery", *words], env=given)


def test_command_plays_the_double_on_loopback_and_tells_every_case() -> None:
    result = run("--json")

    told = json.loads(result.output)
    assert [(each["number"], each["verdict"]) for each in told] == [(number, "as expected") for number in CASES]
    assert {*told[0]} == {"number", "what", "expected", "seen", "verdict", "differences"}
    assert result.exit_code == 0


def test_command_shows_a_table() -> None:
    result = run("--case", "312", "--case", "101")

    header, ping, notional, _, summary = result.output.splitlines()
    assert header.split() == ["no.", "what", "expected", "seen", "verdict"]
    assert ping.split() == ["101", "ping", "200", "object", "200", "object", "as", "expected"]
    assert notional.split() == ["312", "filter", "NOTIONAL", "400", "-1013", "400", "-1013", "as", "expected"]
    assert summary == "2 cases: 2 as expected, 0 differ"


def test_testnet_without_keys_is_refused_in_one_sentence() -> None:
    result = run("--against", "testnet", **{cli_battery.KEY: "k"})

    assert result.exit_code == 1
    missing = "expected a testnet key, found no BINANCE_TESTNET_API_SECRET; set it in the environment"
    assert result.output == f"Error: battery/no_keys: {missing}\n"


def test_testnet_is_refused_in_ci() -> None:
    result = run("--against", "testnet", **{cli_battery.KEY: "k", cli_battery.SECRET: "s", "CI": "true"})

    assert (result.exit_code, "battery/in_ci" in result.output) == (1, True)


def test_number_that_is_not_there_is_refused() -> None:
    assert "battery/no_case: there is no case 999" in run("--case", "999").output


def test_testnet_is_reached_by_the_guarded_client_and_no_key_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address stands for the testnet's here; that the testnet alone is allowed, the guard has tests of its own."""
    given = {cli_battery.KEY: CREDENTIALS.api_key, cli_battery.SECRET: CREDENTIALS.secret}
    with served(open_world()) as running:
        monkeypatch.setattr(cli_battery, "TESTNET", running.api.url)
        result = run("--against", "testnet", "--case", "201", "--case", "301", **given)
    monkeypatch.setattr(cli_battery, "TESTNET", "https://api.binance.com")
    refused = run("--against", "testnet", "--case", "101", **given)

    assert (result.exit_code, "2 as expected" in result.output) == (0, True)
    assert (refused.exit_code, "guard/base_url" in refused.output) == (1, True)
    assert not any(secret in result.output + refused.output for secret in given.values())


def test_key_that_an_answer_holds_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_world()
    body = json.dumps({"code": -1, "msg": CREDENTIALS.secret})
    world.faults.arm(Fault(kind=FaultKind.STATUS, status=400, body=body, path="/api/v3/order", method="POST"))
    given = {cli_battery.KEY: CREDENTIALS.api_key, cli_battery.SECRET: CREDENTIALS.secret}
    with served(world) as running:
        monkeypatch.setattr(cli_battery, "TESTNET", running.api.url)
        result = run("--against", "testnet", "--case", "312", **given)

    assert result.exit_code == 1
    assert "msg (secret)" in result.output
    assert CREDENTIALS.secret not in result.output


def test_numbers_are_in_order_and_words_differ() -> None:
    numbers = [case.number for case in battery()]
    assert numbers == sorted(set(numbers))
    assert len({case.words for case in battery()}) == len(numbers)
