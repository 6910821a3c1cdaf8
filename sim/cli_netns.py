"""`sim netns -- COMMAND`: a whole process tree that nothing leaves, and the table of what tried to."""

import sys
from typing import TextIO

import click

from sim.netns.exit_codes import BROKEN, UNAVAILABLE
from sim.netns.first_process import ControlFailed
from sim.netns.outside import Unavailable, run
from sim.netns.without import run_without


@click.command(
    "netns",
    short_help="Run COMMAND where nothing leaves loopback.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--report", type=click.File("w", encoding="utf-8", lazy=False), help="write each attempt there, a line of JSON each"
)
@click.option(
    "--or-without", is_flag=True, help="where no namespace is to be had, warn and run the command all the same"
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def netns(report: TextIO | None, or_without: bool, words: tuple[str, ...]) -> None:
    """Run COMMAND and all that it starts where nothing leaves loopback, and tell what tried to.

    In a network namespace of its own every address of IPv4 and IPv6 answers on every port, hears whom it was taken
    for and hangs up; every name has an address there. 127.0.0.1, ::1 and Unix sockets work as before. Needs Linux,
    and root or user namespaces.

    Exit code: COMMAND's own where nothing was attempted; 90 where something was, with a table on standard error; 125
    where no namespace is to be had, and nothing was run; 70 where the trip-wire itself failed.
    """
    try:
        sys.exit(run(words, report))
    except ControlFailed as error:
        click.echo(f"sim netns: NOTHING WAS RUN: the trip-wire failed its deliberate attempts, {error}", err=True)
        sys.exit(BROKEN)
    except Unavailable as error:
        if not or_without:
            click.echo(
                f"sim netns: NOTHING WAS RUN, for no namespace is to be had here: {error}, "
                "or say --or-without to run it with the inner layers only",
                err=True,
            )
            sys.exit(UNAVAILABLE)
        warning = f"sim netns: WITHOUT A NAMESPACE, for none is to be had here: {error}; the inner layers remain"
        click.echo(warning, err=True)
        code = run_without(words)
        click.echo(warning, err=True)
        sys.exit(code)


if __name__ == "__main__":
    netns()
