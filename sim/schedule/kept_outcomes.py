"""The folder of certificates, one JSON file per scenario, and what one folder has that another has not."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from sim.errors import SimError
from sim.schedule.certificate import FORM, Certificate, KeptOutcome
from sim.schedule.token import scenario_mark

_SUFFIX = ".json"


def file_of(certificate: Certificate) -> str:
    """The name of the certificate's file: the test's name for people, the mark so that no two share it."""
    return _file_name(certificate.scenario, certificate.part)


def keep(folder: Path, certificate: Certificate) -> Path:
    """The file that holds the certificate now.

    Effects: an older one of the same scenario is replaced, also where that was split in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.glob(f"{_file_name(certificate.scenario, '').removesuffix(_SUFFIX)}*{_SUFFIX}"):
        if _split(other.name.removesuffix(_SUFFIX)) != _split(file_of(certificate).removesuffix(_SUFFIX)):
            other.unlink(missing_ok=True)
    path = folder / file_of(certificate)
    written = msgspec.json.format(msgspec.json.encode(certificate, order="deterministic"), indent=2)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(written + b"\n")
    fresh.replace(path)
    return path


def forget(folder: Path, scenario: str, part: str = "") -> None:
    """Effects: no certificate of that scenario is kept; it has just failed, and an older one would deceive."""
    (folder / _file_name(scenario, part)).unlink(missing_ok=True)


def read_certificates(place: Path) -> list[Certificate]:
    """The certificates of a folder, or the one of a file, by scenario.

    Raises: `SimError` (`schedule/no_certificates`, `schedule/malformed_certificate`).
    """
    paths = sorted(place.glob(f"*{_SUFFIX}")) if place.is_dir() else [place]
    if not paths or not place.exists():
        raise SimError(
            "schedule/no_certificates",
            f"{place} holds no certificates; a run of scenarios writes one for each race that passes, and a race that "
            f"fails keeps none: pytest sim/scenarios/races --sim-certificates {place}",
        )
    return sorted(map(_read, paths), key=lambda one: (one.scenario, one.part))


def scenario_of(folder: Path, mark: str) -> str | None:
    """The scenario with that mark, as its certificate names it; None where none is kept."""
    paths = sorted(folder.glob(f"*.{mark}*{_SUFFIX}")) if folder.is_dir() else []
    return next((one.scenario for one in map(_read, paths) if one.mark == mark), None)


def _read(path: Path) -> Certificate:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Certificate)
    except (OSError, msgspec.MsgspecError) as error:
        raise SimError("schedule/malformed_certificate", f"{path} is no certificate: {error}") from error
    if found.form != FORM:
        raise SimError("schedule/malformed_certificate", f"{path} has form {found.form}, this release reads {FORM}")
    return found


def _file_name(scenario: str, part: str) -> str:
    test = re.sub(r"[^A-Za-z0-9_.-]+", "-", scenario.rpartition("::")[2]).strip("-")[:100]
    return ".".join(word for word in (test, scenario_mark(scenario), part) if word) + _SUFFIX


def _split(name: str) -> str:
    """Into how many parts the scenario was split whose certificate has this name; empty for none."""
    found = re.search(r"\.part\d+of(\d+)$", name)
    return "" if found is None else found.group(1)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What is not as it was in one scenario, one sentence each. `appeared` and `vanished` are outcomes in words."""

    scenario: str
    appeared: tuple[KeptOutcome, ...] = ()
    vanished: tuple[KeptOutcome, ...] = ()
    remarks: tuple[str, ...] = ()


def compare(old: Sequence[Certificate], new: Sequence[Certificate]) -> list[Difference]:
    """How `new` differs from `old`, by scenario; the parts of one scenario count as one."""
    before, after = _by_scenario(old), _by_scenario(new)
    found = []
    for scenario in sorted(before | after):
        if scenario not in after:
            found.append(Difference(scenario=scenario, remarks=("no longer explored",)))
        elif scenario not in before:
            outcomes = len(_outcomes(after[scenario]))
            found.append(Difference(scenario=scenario, remarks=(f"explored for the first time, {outcomes} outcomes",)))
        else:
            found.append(_compared(scenario, before[scenario], after[scenario]))
    return [one for one in found if one.appeared or one.vanished or one.remarks]


def tell_difference(one: Difference) -> Iterator[str]:
    """The difference in plain words."""
    yield one.scenario
    for outcome in one.appeared:
        yield f"  NEW       {outcome.words}  [{outcome.token}]"
    for outcome in one.vanished:
        yield f"  vanished  {outcome.words}  [{outcome.token}]"
    for remark in one.remarks:
        yield f"  {remark}"


def tell_parts(certificates: Sequence[Certificate]) -> Iterator[str]:
    """For each scenario that was explored in parts, what they prove together."""
    for scenario, parts in _by_scenario([one for one in certificates if one.part]).items():
        wanted = int(_split(f".{parts[0].part}") or "0")
        runs, orders = sum(one.runs for one in parts), [one.orders for one in parts if one.orders is not None]
        yield f"{scenario} ({len(parts)} of {wanted} parts)"
        if len(orders) == wanted:
            yield f"  orders    {runs:,} run of {sum(orders):,} feasible, complete"
        else:
            yield f"  orders    {runs:,} run, NOT complete"


def _compared(scenario: str, old: Sequence[Certificate], new: Sequence[Certificate]) -> Difference:
    before, after = _outcomes(old), _outcomes(new)
    remarks = []
    if all(one.is_complete for one in old) and not all(one.is_complete for one in new):
        remarks.append("was explored completely and is not any longer: an outcome that vanished may still be there")
    orders = [[one.orders for one in side if one.orders is not None] for side in (old, new)]
    if len(orders[0] + orders[1]) == len([*old, *new]) and sum(orders[0]) != sum(orders[1]):
        remarks.append(f"orders: {sum(orders[0]):,} before, {sum(orders[1]):,} now")
    return Difference(
        scenario=scenario,
        appeared=tuple(after[words] for words in after if words not in before),
        vanished=tuple(before[words] for words in before if words not in after),
        remarks=tuple(remarks),
    )


def _by_scenario(certificates: Sequence[Certificate]) -> dict[str, list[Certificate]]:
    found: dict[str, list[Certificate]] = {}
    for one in certificates:
        found.setdefault(one.scenario, []).append(one)
    return found


def _outcomes(parts: Sequence[Certificate]) -> dict[str, KeptOutcome]:
    found: dict[str, KeptOutcome] = {}
    for outcome in (outcome for part in parts for outcome in part.outcomes):
        if outcome.words not in found or outcome.preemptions < found[outcome.words].preemptions:
            found[outcome.words] = outcome
    return found
