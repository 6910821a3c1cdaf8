"""The clients' own environment: what its lock pins, and under which licences."""

import importlib.metadata
import re
from pathlib import Path
from typing import Final

from tests.clients.process import PYTHON

LOCK: Final = Path(__file__).with_name("requirements.lock")
# Licences by which the packages may be used, changed and passed on; MPL-2.0 is that of certifi's list of certificates.
PERMISSIVE: Final = re.compile(
    r"\b(MIT|MIT-0|BSD|Apache|PSF|Python Software Foundation|CNRI-Python|MPL|Unlicense|ISC)\b"
)


def installed() -> dict[str, importlib.metadata.Distribution]:
    [packages] = PYTHON.parents[1].glob("lib/python3.*/site-packages")
    found = importlib.metadata.distributions(path=[str(packages)])
    return {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each for each in found}


def licence_of(package: importlib.metadata.Distribution) -> str:
    told = package.metadata.json
    classifiers = [each for each in told.get("classifier", []) if each.startswith("License")]
    return " ".join([str(told.get("license_expression", "")), str(told.get("license", ""))[:200], *classifiers])


def test_environment_of_the_clients_is_what_its_lock_pins() -> None:
    pinned = dict(line.split(" ; ")[0].split("==") for line in LOCK.read_text(encoding="utf-8").splitlines())
    here = {name: package.version for name, package in installed().items()}

    assert {name: version for name, version in here.items() if pinned.get(name, version) != version} == {}
    assert set(here) - set(pinned) <= {"pip", "setuptools", "wheel"}
    assert {"ccxt", "python-binance", "binance-sdk-spot"} <= set(here)


def test_every_package_of_the_clients_has_a_permissive_licence() -> None:
    licences = {name: licence_of(package) for name, package in installed().items()}

    assert {name: licence for name, licence in licences.items() if PERMISSIVE.search(licence) is None} == {}
    assert PERMISSIVE.search("GPL-3.0-only AGPL License :: Other/Proprietary License") is None
