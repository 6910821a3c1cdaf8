"""The house rules hold in every tracked file, and each of them catches what it is for."""

import fnmatch
import importlib.metadata
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.architecture.house_rules import MAX_FUNCTION_LINES, MAX_MODULE_LINES, REGISTRY_HOSTS, RULES

ROOT = Path(__file__).resolve().parents[2]

LONG_FUNCTION = "def step() -> None:\n" + "    pass\n" * MAX_FUNCTION_LINES
BROAD = "try:\n    step()\nexcept Exception:\n    pass\n"
STORY = '"""A story.\n\nDid it hold?\nMust hold: it did.\n"""\n'

# rule, path, a text that breaks it, its accepted twin
PLANTED = [
    ("short_modules", "worker/a.py", "x = 1\n" * (MAX_MODULE_LINES + 1), "x = 1\n" * MAX_MODULE_LINES),
    ("short_functions", "worker/a.py", LONG_FUNCTION, LONG_FUNCTION.removesuffix("    pass\n")),
    ("telling_names", "worker/a.py", "def load_data() -> None: ...", "def load_holdings() -> None: ..."),
    ("telling_names", "worker/a.py", "class LockManager: ...", "class Lock: ..."),
    ("telling_names", "worker/a.py", "def portfolio_info() -> None: ...", "def database_metadata() -> None: ..."),
    (
        "telling_names",
        "worker/a.py",
        "def common_field() -> None: ...",
        "def test_field_common_to_all_is_refused() -> None: ...",
    ),
    ("redirectable_sql_time", "worker/a.py", "SQL = 'SELECT current_timestamp'", "SQL = 'SELECT now()'"),
    ("redirectable_sql_time", "worker/a.py", "t = func.localtime()", "t = func.transaction_timestamp()"),
    ("redirectable_sql_time", "worker/a.py", "SQL = \"SELECT 'now'::timestamptz\"", '"""Not CURRENT_TIMESTAMP."""'),
    ("redirectable_sql_time", "worker/db/a.sql", "SELECT LOCALTIMESTAMP;", "SELECT clock_timestamp();"),
    ("no_sleeping_tests", "tests/a.py", "import time\ntime.sleep(1)", "worker.wait(timeout_s=1)"),
    ("no_sleeping_tests", "sim/scenarios/a.py", "from time import sleep", "from time import monotonic"),
    ("aware_time", "sim/a.py", "at = datetime.now()", "at = datetime.now(UTC)"),
    ("aware_time", "sim/a.py", "at = datetime.datetime.utcnow()", "at = datetime.datetime.now(tz=UTC)"),
    ("database_decides_time", "worker/guards/a.py", "late = datetime.now(UTC) > end", "late = now > end"),
    ("no_floats_in_worker", "worker/a.py", "share = float(text)", "share = Decimal(text)"),
    ("offline_worker", "worker/a.py", "import urllib.request", "import urllib.parse"),
    ("offline_worker", "worker/a.py", "from urllib import request", "from urllib.parse import urlsplit"),
    ("narrow_except", "worker/a.py", BROAD, BROAD.replace("Exception", "OSError")),
    (
        "narrow_except",
        "worker/a.py",
        BROAD.replace(" Exception", ""),
        BROAD.replace("    pass", "    undo()\n    raise"),
    ),
    ("narrow_except", "sim/a.py", BROAD.replace("Exception", "(OSError, BaseException)"), ""),
    ("bare_packages", "worker/a/__init__.py", '"""A."""\nimport os\n', '"""A."""\n'),
    ("bare_packages", "worker/a/__init__.py", "", '"""A."""\n'),
    ("no_registry_hosts", "README.md", f"see https://{REGISTRY_HOSTS[0]}/simple", "see the package index"),
    ("no_registry_hosts", "Makefile", "pip install --index" + "-url x", "pip install x"),
    ("no_machine_paths", "README.md", "cd /" + "work/main", "cd network/main"),
    ("no_machine_paths", "scripts/a", "HOME=/" + "root/x", "HOME=$folder/root/x"),
    ("versions_only_lock", "requirements.lock", "a==1.0 --hash=sha256:00", "a==1.0 ; sys_platform == 'win32'"),
    ("versions_only_lock", "requirements.lock", "b==1\na==1", "a==1\nb==1"),
    ("versions_only_lock", "requirements.lock", "a @ https://example.com/a.whl", "a==1"),
    ("straight_tests", "tests/a.py", "def test_a():\n    if x:\n        assert y", "def test_a():\n    assert x"),
    ("no_mocks", "tests/a.py", "from unittest import mock", "from unittest import TestCase"),
    ("asking_scenarios", "sim/scenarios/test_a.py", '"""A story."""', STORY),
    ("asking_scenarios", "sim/scenarios/test_a.py", STORY.replace("Must hold", "It does"), STORY),
]


def ignored_names() -> list[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return [line.strip("/") for line in lines if line and not line.startswith("#")]


def project_files() -> Iterator[PurePosixPath]:
    """Tracked files; in a folder without git, such as an unpacked archive, all that git would not ignore."""
    listing = (
        subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        if (ROOT / ".git").exists()
        else None
    )
    if listing is not None and listing.returncode == 0:
        yield from (PurePosixPath(name) for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())
        return
    ignored = [".git", *ignored_names()]
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)]
        below = PurePosixPath(Path(folder).relative_to(ROOT).as_posix())
        yield from (below / name for name in files)


def texts() -> Iterator[tuple[PurePosixPath, str]]:
    for path in project_files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode()


def breaches_of(rule: str) -> list[str]:
    return [f"{path}: {breach}" for path, text in texts() for breach in RULES[rule](path, text)]


@pytest.mark.parametrize("rule", RULES)
def test_house_rule_holds_in_every_file(rule: str) -> None:
    assert breaches_of(rule) == []


def test_the_rules_see_the_files_of_the_project() -> None:
    seen = {path.as_posix() for path in project_files()}

    assert {"pyproject.toml", "worker/__init__.py", "sim/__init__.py", "requirements.lock"} <= seen
    assert not [name for name in seen if ".venv" in name]


@pytest.mark.parametrize(
    ("rule", "path", "broken", "accepted"),
    PLANTED,
    ids=[f"{number}-{rule}" for number, (rule, *_) in enumerate(PLANTED)],
)
def test_planted_breach_is_found_and_its_twin_accepted(rule: str, path: str, broken: str, accepted: str) -> None:
    assert list(RULES[rule](PurePosixPath(path), broken)) != []
    assert list(RULES[rule](PurePosixPath(path), accepted)) == []


def test_every_house_rule_has_a_planted_breach() -> None:
    assert {rule for rule, *_ in PLANTED} == set(RULES)


CLIENTS_LOCK = "tests/clients/requirements.lock"


def locked(lock: str = "requirements.lock") -> dict[str, Version]:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    pairs = (re.split(r"==| ; ", line)[:2] for line in lines)
    return {name: Version(version) for name, version in pairs}


def project_table() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def direct_requirements() -> list[Requirement]:
    """What one environment holds; the clients have another."""
    project = project_table()
    extras = [lines for extra, lines in project["optional-dependencies"].items() if extra != "clients"]
    return [Requirement(line) for line in (*project["dependencies"], *(line for extra in extras for line in extra))]


def unmet(requirements: list[Requirement], versions: dict[str, Version]) -> list[str]:
    """The requirements that the lock file leaves out or pins outside the allowed range."""
    return [
        str(requirement)
        for requirement in requirements
        if canonicalize_name(requirement.name) not in versions
        or versions[canonicalize_name(requirement.name)] not in requirement.specifier
    ]


def test_lock_file_pins_what_the_project_allows() -> None:
    assert unmet(direct_requirements(), locked()) == []


def test_lock_file_of_the_clients_pins_what_the_project_allows() -> None:
    clients = [Requirement(line) for line in project_table()["optional-dependencies"]["clients"]]

    assert unmet(clients, locked(CLIENTS_LOCK)) == []
    assert unmet(clients, {**locked(CLIENTS_LOCK), "ccxt": Version("1")}) == ["ccxt>=4.5.90"]


def test_a_lock_file_that_lags_behind_the_project_is_found() -> None:
    stale = {**locked(), "alembic": Version("0.1")}

    assert [Requirement(line).name for line in unmet(direct_requirements(), stale)] == ["alembic"]


def test_lock_file_pins_what_the_locked_packages_need() -> None:
    here = {canonicalize_name(found.metadata["Name"]) for found in importlib.metadata.distributions()}
    lines = (line for name in locked() if name in here for line in importlib.metadata.requires(name) or ())
    needed = [found for found in map(Requirement, lines) if not found.marker or found.marker.evaluate({"extra": ""})]

    assert unmet(needed, locked()) == []
