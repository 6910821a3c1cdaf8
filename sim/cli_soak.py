"""`sim soak`: the suite for a whole night."""

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from sim.soak import run_in_project, soak

LAST_LINES = 30


@click.command("soak", short_help="Play the suite for a night, each round with a new seed.")
@click.option(
    "--minutes", type=click.FloatRange(min=0), default=480, show_default=True, help="a round is begun so long"
)
@click.option("--seed", type=click.IntRange(min=0), help="of the first round; without it, the date as YYYYMMDD00")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("build/soak"), show_default=True
)
def soak_command(minutes: float, seed: int | None, output: Path) -> None:
    """Play the suite again and again, each round with another seed, until the time is over or something is red.

    A round: every scenario in another order with other samples, every crash and larger race of the tests, and 10,000
    replays of drawn orders, a third of them with the processor overloaded. The seed of a red round repeats it. Exit
    code 1 when something was red.
    """
    first = int(f"{datetime.now(UTC):%Y%m%d}00") if seed is None else seed
    parts = 0
    for played in soak(minutes * 60, seed=first, folder=output, run=run_in_project):
        parts += 1
        verdict = f"RED, exit code {played.exit_code}" if played.is_red else "green"
        click.echo(f"seed {played.seed}  {verdict:<18}{played.seconds:8.0f} s  {played.part.words}")
        if played.is_red:
            lines = played.output.read_text(encoding="utf-8", errors="replace").splitlines()
            click.echo("\n".join(f"    {line}" for line in lines[-LAST_LINES:]))
            click.echo(f"the whole output: {played.output}")
            click.echo(f"again: {shlex.join(played.part.command(played.seed))}")
            sys.exit(1)
    click.echo(f"green: {parts} parts")
