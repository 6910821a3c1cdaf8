"""`sim guard`: every attempt to reach mainnet against every layer of the guard."""

import sys
from typing import Final

import click

from sim.guard_matrix.run import Matrix, Unavailable, play_matrix
from sim.guard_matrix.table import table

HOLE: Final = 3
"""An attempt that is not stopped with some one layer knocked out, or that changed the bot's home."""
IDLE_LAYER: Final = 4
"""A layer that never mattered."""
NOT_PROVED: Final = 5
"""A control that was not stopped, an attempt that is none, or a refusal that nobody recorded."""
UNAVAILABLE: Final = 125
"""No namespace is to be had, and nothing was played; as `sim netns` ends."""


@click.command("guard", short_help="Every attempt to reach mainnet, and what stops it.")
@click.option("--rows", default="", metavar="LETTERS", help="play these rows of the matrix only, and the controls")
@click.option(
    "--named", default="", metavar="TEXT", help="play attempts with this in their name only, and the controls"
)
def guard(rows: str, named: str) -> None:
    """Play every attempt to reach mainnet, and show which layer of the guard stops it.

    Each attempt is made for real, by the bot's, the worker's and a service's own code, by other libraries and by other
    languages, in a network namespace which nothing leaves: with all layers in force, with each knocked out, with each
    alone, and with none. Each layer's deliberate violation is always among them. docs/mainnet_guard.md tells how to
    read the table.

    Exit code: 3 where an attempt is not stopped with some one layer knocked out, or changes the home; 4 where a layer
    never mattered; 5 where a deliberate violation was not stopped, or a play proves nothing; 125 where no namespace is
    to be had.
    """
    try:
        matrix = play_matrix(rows.upper(), named)
    except Unavailable as error:
        click.echo(f"sim guard: NOTHING WAS PLAYED: {error.message}", err=True)
        sys.exit(UNAVAILABLE)
    click.echo("\n".join([*table(matrix.verdicts), "", *summary(matrix)]))
    sys.exit(exit_code(matrix))


def summary(matrix: Matrix) -> list[str]:
    """What the table comes to, in a few sentences."""
    holes = sum(1 for one in matrix.verdicts if one.holes)
    doubts = sum(1 for one in matrix.verdicts if one.doubts)
    names = "not judged, for rows were left out" if matrix.idle is None else ", ".join(matrix.idle) or "none"
    idle = f"layers that never mattered: {names}"
    return [
        f"{len(matrix.verdicts)} attempts in {matrix.plays} plays: {holes} with a hole, {doubts} that prove nothing",
        idle,
        *(f"CONTROL FAILED {sentence}" for sentence in matrix.failed_controls),
    ]


def exit_code(matrix: Matrix) -> int:
    """The worst finding: 0, `HOLE`, `NOT_PROVED` or `IDLE_LAYER`."""
    if any(one.holes for one in matrix.verdicts):
        return HOLE
    if matrix.failed_controls or any(one.doubts for one in matrix.verdicts):
        return NOT_PROVED
    return IDLE_LAYER if matrix.idle else 0


if __name__ == "__main__":
    guard()
