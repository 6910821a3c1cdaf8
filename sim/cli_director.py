"""`sim outcomes`, `sim replay`, `sim selftest`: what the director found, one order again, and whether orders repeat."""

import sys
from itertools import chain
from pathlib import Path

import click

from sim.errors import SimError
from sim.schedule.certificate import tell_certificate
from sim.schedule.kept_outcomes import compare, read_certificates, scenario_of, tell_difference, tell_parts
from sim.schedule.token import read_token
from sim.selftest import self_test

SCENARIOS = "sim/scenarios"
RACES = "sim/scenarios/races"
MAX_SHOWN = 10
_REFUSED = 4
"""Exit code of pytest where it says itself what it was not given right."""

_PLACE = click.Path(path_type=Path)


@click.group(short_help="Show and compare what races came to.")
def outcomes() -> None:
    """Show and compare what races came to: the certificates that a run of scenarios keeps in build/outcomes."""


@outcomes.command("show")
@click.argument("place", type=_PLACE, default=Path("build/outcomes"))
def outcomes_show(place: Path) -> None:
    """Show the certificates of PLACE, a folder or one file (build/outcomes)."""
    certificates = read_certificates(place)
    for line in (*chain.from_iterable(map(tell_certificate, certificates)), *tell_parts(certificates)):
        click.echo(line)


@outcomes.command("diff")
@click.argument("old", type=_PLACE)
@click.argument("new", type=_PLACE)
def outcomes_diff(old: Path, new: Path) -> None:
    """Show which outcomes NEW has and OLD has not, and the reverse. Exit code 1 when one appeared.

    Both are folders of certificates, or files. Keep an earlier run's with `--sim-certificates DIR`.
    """
    before, after = read_certificates(old), read_certificates(new)
    found = compare(before, after)
    for difference in found:
        click.echo("\n".join(tell_difference(difference)))
    appeared = sum(len(one.appeared) for one in found)
    vanished = sum(len(one.vanished) for one in found)
    click.echo(f"{len(after)} certificates: {appeared} outcomes appeared, {vanished} vanished")
    if appeared:
        sys.exit(1)


@click.command("replay", short_help="Play the one order that TOKEN names, step by step.")
@click.argument("token")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--pause-at", type=click.IntRange(min=1), metavar="K", help="stop where step K is due and open a shell there"
)
@click.option(
    "--certificates", type=_PLACE, default=Path("build/outcomes"), help="where to look up the token's scenario first"
)
def replay(token: str, paths: tuple[str, ...], pause_at: int | None, certificates: Path) -> None:
    """Play the one order that TOKEN names, and tell it step by step. Exit code 1 when something did not hold.

    The token begins with its scenario's mark, which is looked up among the kept certificates, then among all scenarios
    of PATHS (sim/scenarios). With --pause-at the database and the home can be looked at where step K is due.
    """
    from sim.pytest_quiet import run_quietly  # pytest is slow to import

    mark = read_token(token).scenario
    known = None if paths else scenario_of(certificates, mark)
    options = ["--sim-token", token] if pause_at is None else ["--sim-token", token, "--sim-pause-at", str(pause_at)]
    found = run_quietly([*options, *(paths or [known or SCENARIOS])])
    if found.exit_code == _REFUSED:
        sys.exit(1)  # what was refused stands on standard error
    if not found.played and not found.failures:
        raise SimError("schedule/not_played", f"pytest played nothing (exit code {found.exit_code})")
    click.echo("\n".join(found.told))
    if not any(line.startswith("  failed") for line in found.told):
        for failure in found.failures:
            click.echo(f"  failed   {failure}")
    sys.exit(min(found.exit_code, 1))


@click.command("selftest", short_help="Draw orders of the races and see that they repeat.")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--replays", type=click.IntRange(min=1), default=300, show_default=True, help="how many at least, over all races"
)
@click.option("--seed", type=int, default=1, show_default=True, help="by which the orders are drawn")
def selftest(paths: tuple[str, ...], replays: int, seed: int) -> None:
    """Draw orders of the races of PATHS (sim/scenarios/races), play them again, and compare them step by step.

    A third is played again as it was drawn, a third under another hash seed of Python, a third under yet another with
    the processor overloaded. Exit code 1 when one of them did not repeat; the first step that differs is named.
    """
    found = self_test(replays, seed=seed, paths=paths or [RACES])
    for one, repeated in found.passes:
        diverged = sum(len(scenario.divergences) for scenario in repeated)
        click.echo(f"{sum(scenario.replays for scenario in repeated):6,} {one.words}: {diverged} diverged")
    for divergence in found.divergences[:MAX_SHOWN]:
        click.echo(f"  {divergence.tell()}")
    click.echo(f"{found.replays:6,} replays, {len(found.divergences)} divergences")
    if found.divergences:
        sys.exit(1)
