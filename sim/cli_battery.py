"""`sim exchange battery`: numbered requests against the double, or by hand against the testnet."""

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from sim.errors import SimError

if TYPE_CHECKING:
    from sim.exchange.battery.judgement import Verdict
    from sim.exchange.battery.play import Credentials

TESTNET: Final = "https://testnet.binance.vision"
KEY: Final = "BINANCE_TESTNET_API_KEY"
SECRET: Final = "BINANCE_TESTNET_API_SECRET"
DIFFERS: Final = 1


@click.command()
@click.option("--against", type=click.Choice(["double", "testnet"]), default="double", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="one line of JSON in place of the table")
@click.option("--case", "numbers", multiple=True, metavar="NUMBER", help="play this case only; may be given again")
def battery(against: str, as_json: bool, numbers: tuple[str, ...]) -> None:
    """Play numbered requests, and show what was expected of each, what was seen, and whether that is the same.

    Against the testnet it trades play money, 20 USDT at a time, and cancels every order of the account on BTCUSDT; give
    BINANCE_TESTNET_API_KEY and BINANCE_TESTNET_API_SECRET in the environment. It refuses where CI is set.

    Exit code: 1 where a case differs or was not reached.
    """
    place = _testnet(os.environ) if against == "testnet" else _double()
    with place as (url, credentials):
        verdicts = _played(url, credentials, numbers)
    text = json.dumps([one.told() for one in verdicts], ensure_ascii=False) if as_json else "\n".join(report(verdicts))
    click.echo(_without(text, credentials))
    sys.exit(DIFFERS if any(not one.is_as_expected for one in verdicts) else 0)


def report(verdicts: "Sequence[Verdict]") -> list[str]:
    """The table: number, what, expected, seen, verdict; below a case that differs, how."""
    width = max((len(one.words) for one in verdicts), default=0)
    lines = [f"no.  {'what':{width}}  {'expected':20}  {'seen':20}  verdict"]
    for one in verdicts:
        verdict = "as expected" if one.is_as_expected else "DIFFERS"
        lines.append(f"{one.number:4} {one.words:{width}}  {one.expected:20}  {one.seen:20}  {verdict}")
        lines += [f"       {difference}" for difference in one.differences]
    differing = sum(1 for one in verdicts if not one.is_as_expected)
    return [*lines, "", f"{len(verdicts)} cases: {len(verdicts) - differing} as expected, {differing} differ"]


def _without(text: str, credentials: "Credentials") -> str:
    """The text without key and secret, should an answer ever have held them."""
    return text.replace(credentials.api_key, "(key)").replace(credentials.secret, "(secret)")


def _played(url: str, credentials: "Credentials", numbers: tuple[str, ...]) -> "list[Verdict]":
    """Raises SimError `battery/no_case` for a number that there is not."""
    import httpx

    from sim.exchange.battery.cases import battery as all_cases
    from sim.exchange.battery.play import Player, Received, Sent
    from sim.guard.exchange_client import open_client

    unknown = set(numbers) - {case.number for case in all_cases()}
    if unknown:
        raise SimError(
            "battery/no_case", f"there is no case {', '.join(sorted(unknown))}; without --case all are played"
        )
    with open_client(url) as client:

        def send(sent: Sent) -> Received:
            try:
                answer = client.request(sent.method, sent.target, headers=dict(sent.headers))
            except httpx.TransportError as error:
                raise ConnectionError(str(error)) from error
            return Received(status=answer.status_code, body=answer.content)

        player = Player(send, credentials)
        return [player.play(case) for case in all_cases() if not numbers or case.number in numbers]


@contextmanager
def _double() -> "Iterator[tuple[str, Credentials]]":
    """A double on loopback, and a key that opens nothing but this one."""
    from sim.exchange.battery.play import Credentials
    from sim.exchange.keys import ApiKey
    from sim.exchange.skins.threads import served
    from sim.exchange.world import World

    credentials = Credentials(api_key=secrets.token_hex(32), secret=secrets.token_hex(32))
    world = World()
    world.open_account("battery", key=ApiKey(api_key=credentials.api_key, account="battery", secret=credentials.secret))
    with served(world) as running:
        yield running.api.url, credentials


@contextmanager
def _testnet(environment: Mapping[str, str]) -> "Iterator[tuple[str, Credentials]]":
    """Raises SimError `battery/in_ci`, or `battery/no_keys` where key and secret are not both given."""
    from sim.exchange.battery.play import Credentials

    if environment.get("CI"):
        raise SimError("battery/in_ci", "the battery is played against the testnet by hand alone, and CI is set")
    given = {name: environment.get(name, "") for name in (KEY, SECRET)}
    if not all(given.values()):
        missing = " and ".join(name for name, value in given.items() if not value)
        raise SimError("battery/no_keys", f"expected a testnet key, found no {missing}; set it in the environment")
    yield TESTNET, Credentials(api_key=given[KEY], secret=given[SECRET])
