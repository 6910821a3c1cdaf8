"""`sim exchange`: the testnet double on loopback, with a control plane on a port of its own."""

import asyncio
import gc
import json
import secrets
import signal
from decimal import Decimal, InvalidOperation

import click

from sim.cli_battery import battery
from sim.errors import SimError


def _balances(given: tuple[str, ...]) -> dict[str, Decimal] | None:
    """Balances from `BTC=1.5`; None where none is given. Raises BadParameter for what is none."""
    found = {}
    for each in given:
        asset, _, text = each.partition("=")
        try:
            found[asset] = Decimal(text)
        except InvalidOperation as error:
            raise click.BadParameter(f"expected ASSET=AMOUNT, found {each}") from error
    return found or None


@click.group(invoke_without_command=True, short_help="Serve a double of the Binance Spot testnet.")
@click.pass_context
@click.option("--port", default=0, show_default="one that is free", help="port of the API")
@click.option("--control-port", default=0, show_default="one that is free", help="port of the control plane")
@click.option("--seed", default=1, show_default=True, help="which prices")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="what the account begins with")
def exchange(context: click.Context, port: int, control_port: int, seed: int, balances: tuple[str, ...]) -> None:
    """Serves a double of the Binance Spot testnet on 127.0.0.1 until it is interrupted.

    Prints one line of JSON: where the API and the control plane are, the control plane's token, and the key and secret
    of an account that may trade. They are made for this run and open nothing but this double.
    """
    if context.invoked_subcommand is None:
        _serve(port, control_port, seed, _balances(balances))


exchange.add_command(battery)


def _serve(port: int, control_port: int, seed: int, balances: dict[str, Decimal] | None) -> None:
    from sim.exchange.keys import ApiKey  # the server's libraries are slow to import
    from sim.exchange.skins.control_server import running_control
    from sim.exchange.skins.server import running_server
    from sim.exchange.world import World

    world = World(seed=seed)
    key = ApiKey(api_key=secrets.token_hex(32), account="trader", secret=secrets.token_hex(32))
    world.open_account("trader", key=key, balances=balances)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with running_server(world, port=port) as api, running_control(world, port=control_port) as plane:
            told = {
                "api": api.url,
                "control": plane.url,
                "control_token": plane.token,
                "api_key": key.api_key,
                "secret": key.secret,
            }
            # What is there before the first request the garbage collector need not look through again and again.
            gc.freeze()
            click.echo(json.dumps(told))
            await stop.wait()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise SimError("exchange/no_port", f"cannot listen on 127.0.0.1: {error}; give another port") from error


@exchange.command("scorecard")
@click.option("--json", "as_json", is_flag=True, help="one JSON array, an object for each row")
@click.option("--only", multiple=True, metavar="NAME", help="operation, method, stream or event; may be given again")
def scorecard_command(as_json: bool, only: tuple[str, ...]) -> None:
    """Compares what the double answers with what the exchange publishes, and prints one row for each operation.

    Shapes, error texts and filters are taken live, from worlds made for it; nothing is listened on. The types are read
    by the models of the official SDK where that is installed. Exit code 1 where a row is not exact.
    """
    from sim.exchange.scorecard import sdk
    from sim.exchange.scorecard.card import scorecard
    from sim.exchange.scorecard.report import as_document, as_plain

    rows = scorecard(rows=lambda name: not only or name in only)
    if not rows:
        raise click.BadParameter(f"expected names such as order_place, order.place or executionReport, found {only}")
    click.echo(json.dumps(as_plain(rows), indent=1) if as_json else as_document(rows), nl=as_json)
    if not sdk.is_installed():
        click.echo(f"the types were NOT CHECKED: install {sdk.PACKAGE}", err=True)
    if not all(row.is_exact for row in rows):
        raise click.exceptions.Exit(1)


@exchange.command()
@click.option("--seed", default=1, show_default=True, help="which month: prices, faults, resets and kills")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 365), help="how long it is")
def month(seed: int, days: int) -> None:
    """Plays a month of the paper bot on the double in this process, with every fault by seed, and judges each instant.

    The same seed gives the same month. Exit code 1 where the books do not add up to the last digit in the end, an order
    was sent twice, or the journal leaves a write unexplained.
    """
    from sim.month.runner import play_month  # slow to import, like the server

    played = play_month(seed=seed, days=days)
    for line in played.lines():
        click.echo(line)
    if not played.is_sound:
        raise SystemExit(1)
