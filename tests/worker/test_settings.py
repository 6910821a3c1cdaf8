"""What a worker is told by its environment: every wrong setting named, all at once, and no secret repeated.

What the worker does with a refusal stands in `sim/scenarios/guards/test_worker_start.py`; here stand the files and
values that no scenario can set up cheaply: pipes, links, folders, giants, files of somebody else.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.witness.children import as_ordinary_user, ordinary_owner
from worker.contracts.commands import understood_versions
from worker.readers.document import MAX_FILE_BYTES
from worker.settings import MAX_VERSIONS_FILE_BYTES, StartRefused, WorkerSettings, read_settings

SECRET = "Corr3ctHorseBatteryStaple99"


def furnish(home: Path) -> Path:
    (home / "gui").mkdir(parents=True)
    (home / ".env").write_text("BINANCE_TESTNET=true\n")
    (home / "gui" / "command_bus_versions.json").write_text(json.dumps(understood_versions()))
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return furnish(tmp_path / "home")


def environment(home: Path, **changed: str | None) -> dict[str, str]:
    """A right environment for `home`, with settings replaced; None takes one away."""
    right: dict[str, str | None] = {
        "GUI_DB_HOST": "127.0.0.1",
        "GUI_DB_PORT": "5432",
        "GUI_DB_NAME": "tradingbot_gui",
        "GUI_DB_USER": "worker",
        "GUI_DB_PASSWORD": SECRET,
        "WORKER_ID": "w1",
        "BOT_HOME": str(home),
        "BINANCE_TESTNET": "true",
    }
    return {name: value for name, value in (right | changed).items() if value is not None}


def problems(home: Path, **changed: str | None) -> tuple[str, ...]:
    with pytest.raises(StartRefused) as caught:
        read_settings(environment(home, **changed))
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def problem(home: Path, **changed: str | None) -> str:
    (only,) = problems(home, **changed)
    return only


def accepted(home: Path, **changed: str | None) -> WorkerSettings:
    return read_settings(environment(home, **changed))


def test_right_environment_is_taken_as_it_stands(home: Path) -> None:
    settings = accepted(home)

    database = settings.database
    assert (database.host, database.port, database.name, database.user, database.password) == (
        "127.0.0.1",
        5432,
        "tradingbot_gui",
        "worker",
        SECRET,
    )
    assert (settings.worker_id, settings.home.root) == ("w1", home)


@pytest.mark.parametrize(
    "changed",
    [{"PGHOSTADDR": "203.0.113.9"}, {"PGSERVICE": "gui"}, {"GUI_DB_HOST": f"gui:{SECRET}@db"}, {"GUI_DB_HOST": "a,b"}],
    ids=str,
)
def test_database_that_is_looked_for_elsewhere_is_refused(home: Path, changed: dict[str, str]) -> None:
    told = problem(home, **changed)
    assert next(iter(changed)) in told
    assert SECRET not in told


def test_variables_of_libpq_that_lead_nowhere_are_accepted(home: Path) -> None:
    assert accepted(home, PGUSER="me", PGHOST="elsewhere").database.host == "127.0.0.1"


def test_password_shows_in_no_repr(home: Path) -> None:
    assert SECRET not in repr(accepted(home))


@pytest.mark.parametrize("name", ["GUI_DB_PORT", "WORKER_ID", "GUI_DB_PASSWORD", "COMMAND_BUS_VERSIONS_PATH"])
def test_setting_with_a_default_may_be_left_out(home: Path, name: str) -> None:
    settings = accepted(home, **{name: None})

    assert settings.database.port == 5432
    assert settings.worker_id.endswith(("w1", f"-{os.getpid()}"))


@pytest.mark.parametrize("name", ["GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER", "BOT_HOME"])
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_setting_without_a_default_is_demanded(home: Path, name: str, value: str | None) -> None:
    assert problem(home, **{name: value}) == f"{name} is not set; set it"


@pytest.mark.parametrize("name", ["GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER", "GUI_DB_PASSWORD"])
def test_setting_of_bytes_that_are_no_text_is_refused(home: Path, name: str) -> None:
    # So Python shows the byte 0xff in an environment; the driver could not send it.
    assert problem(home, **{name: "tr\udcffder"}) == f"{name} is not UTF-8 text; set it anew"


@pytest.mark.parametrize("name", ["GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER", "GUI_DB_PASSWORD"])
def test_setting_beyond_ascii_is_text(home: Path, name: str) -> None:
    accepted(home, **{name: "händler-交易"})


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+1", "1.0", " 1", "1_0", "٣", "0x10", "five"])
def test_port_that_is_no_port_is_refused(home: Path, port: str) -> None:
    assert problem(home, GUI_DB_PORT=port).startswith("GUI_DB_PORT must be a number from 1 to 65535")


@pytest.mark.parametrize("port", ["1", "65535", "05432"])
def test_port_within_bounds_is_accepted(home: Path, port: str) -> None:
    assert accepted(home, GUI_DB_PORT=port).database.port == int(port)


@pytest.mark.parametrize("name", ["WORKER_POLL_S", "WORKER_LOCK_WAIT_S"])
@pytest.mark.parametrize("text", ["30.000001", "-1", "+1", "1e1", ".5", "1.", "nan", "٣", "5 s", " 5", "0" * 7])
def test_wait_that_is_no_number_of_seconds_is_refused(home: Path, name: str, text: str) -> None:
    assert problem(home, **{name: text}).startswith(f"{name} must be seconds from 0")


def test_poll_without_a_pause_is_refused(home: Path) -> None:
    assert problem(home, WORKER_POLL_S="0.049").endswith("seconds from 0.05 to 30, such as 0.5, found '0.049'")


@pytest.mark.parametrize(("text", "seconds"), [("0.05", 0.05), ("30", 30.0), ("1.5", 1.5), ("", 5.0), (None, 5.0)])
def test_waits_are_as_told_or_five_seconds(home: Path, text: str | None, seconds: float) -> None:
    assert accepted(home, WORKER_POLL_S=text).poll_s == seconds
    assert accepted(home, WORKER_LOCK_WAIT_S=text).lock_wait_s == seconds


def test_home_lock_may_be_tried_once(home: Path) -> None:
    assert accepted(home, WORKER_LOCK_WAIT_S="0").lock_wait_s == 0.0


@pytest.mark.parametrize("worker_id", ["w" * 129, "a\nb", "a\x1b[2Jb", "a\u200bb", "a\udcffb"], ids=ascii)
def test_worker_id_that_would_spoil_the_log_is_refused(home: Path, worker_id: str) -> None:
    assert problem(home, WORKER_ID=worker_id).startswith("WORKER_ID must be at most 128 printable characters")


@pytest.mark.parametrize("worker_id", ["w" * 128, "händler 1", "."])
def test_worker_id_that_can_be_printed_is_accepted(home: Path, worker_id: str) -> None:
    assert accepted(home, WORKER_ID=worker_id).worker_id == worker_id


@pytest.mark.parametrize("root", ["/dev/null", "/nonexistent", "/" + "x" * 5000], ids=["device", "missing", "too long"])
def test_home_that_is_no_folder_is_refused(home: Path, root: str) -> None:
    assert problem(home, BOT_HOME=root).startswith("BOT_HOME must be the bot's folder, found no folder at ")


def test_home_given_as_a_relative_path_is_made_absolute(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)

    assert accepted(home, BOT_HOME="home").home.root == home


def test_all_problems_of_all_sources_come_at_once(home: Path) -> None:
    (home / ".env").write_text("BINANCE_TESTNET=false\n")
    (home / "gui" / "command_bus_versions.json").write_text(json.dumps({"sell_everything": 1}))

    found = problems(home, BINANCE_TESTNET="1", GUI_DB_HOST=None, GUI_DB_PORT="x", WORKER_ID="a\nb")

    # One for the flag, host, port and id, one for .env, ten missing types and one that nobody knows.
    assert len(found) == 4 + 1 + len(understood_versions()) + 1
    named = ["BINANCE_TESTNET", "GUI_DB_HOST", "GUI_DB_PORT", "WORKER_ID", ".env", "apply_profile_testnet", "sell_ever"]
    assert [any(name in sentence for sentence in found) for name in named] == [True] * len(named)


@pytest.mark.parametrize(
    "name", ["BINANCE_TESTNET", "GUI_DB_PORT", "GUI_DB_HOST", "GUI_DB_USER", "GUI_DB_NAME", "GUI_DB_PASSWORD"]
)
def test_secret_in_a_wrong_setting_is_not_repeated(home: Path, name: str) -> None:
    (home / ".env").write_text(f"API_SECRET={SECRET}\nBINANCE_TESTNET={SECRET}\n")

    found = problems(home, **{"WORKER_ID": "a\nb", name: SECRET})

    assert [sentence for sentence in found if SECRET in sentence] == []


def test_env_file_that_is_absent_leaves_the_environment_to_decide(home: Path) -> None:
    (home / ".env").unlink()

    accepted(home)
    assert "BINANCE_TESTNET must be exactly 'true'" in problem(home, BINANCE_TESTNET=None)


def test_env_file_that_is_a_folder_is_refused(home: Path) -> None:
    (home / ".env").unlink()
    (home / ".env").mkdir()

    assert str(home / ".env") in problem(home)


def test_env_file_that_is_a_pipe_is_refused_at_once(home: Path) -> None:
    (home / ".env").unlink()
    os.mkfifo(home / ".env")

    assert "expected a regular file" in problem(home)


def test_env_file_that_is_a_link_is_what_it_leads_to(home: Path) -> None:
    (home / ".env").rename(home / "env.testnet")
    (home / ".env").symlink_to("env.testnet")
    accepted(home)

    (home / "env.testnet").write_text("BINANCE_TESTNET=false\n")
    assert str(home / ".env") in problem(home)


@pytest.mark.parametrize("target", ["nowhere", ".env"], ids=["to nothing", "to itself"])
def test_env_file_that_is_a_broken_link_is_not_taken_for_absent(home: Path, target: str) -> None:
    (home / ".env").unlink()
    (home / ".env").symlink_to(target)

    assert str(home / ".env") in problem(home)


@pytest.mark.parametrize("size", [70_000, 32 * 1024 * 1024])
def test_env_file_that_is_too_large_is_refused(home: Path, size: int) -> None:
    os.truncate(home / ".env", size)

    assert str(home / ".env") in problem(home)


def test_env_file_that_is_no_text_is_named_with_the_place(home: Path) -> None:
    (home / ".env").write_bytes(b"BINANCE_TESTNET=true\nNAME=\xff\n")

    assert problem(home) == f"{home / '.env'} is not UTF-8 at byte 26; save it as plain UTF-8"


@pytest.fixture
def foreign_home() -> Iterator[Path]:
    """A home that an ordinary user owns and can reach, wherever the temporary folder of the tests is."""
    with tempfile.TemporaryDirectory() as folder:
        made = furnish(Path(folder) / "home")
        for path in [Path(folder), made, *made.rglob("*")]:
            os.chown(path, *ordinary_owner())
        yield made


def test_env_file_of_somebody_else_is_refused(foreign_home: Path) -> None:
    (foreign_home / ".env").chmod(0o000)

    found = as_ordinary_user(lambda: problem(foreign_home))

    assert ".env could not be read: Permission denied" in found


def test_home_that_may_not_be_entered_is_refused(foreign_home: Path) -> None:
    versions = foreign_home.parent / "versions.json"
    (foreign_home / "gui" / "command_bus_versions.json").rename(versions)
    foreign_home.chmod(0o600)

    # Whether an .env stands there cannot be known, and so it does not count as absent.
    found = as_ordinary_user(lambda: problem(foreign_home, COMMAND_BUS_VERSIONS_PATH=str(versions)))

    foreign_home.chmod(0o700)
    assert ".env could not be read: Permission denied" in found


def test_home_below_a_closed_folder_is_refused(foreign_home: Path) -> None:
    foreign_home.parent.chmod(0o000)

    found = as_ordinary_user(lambda: problem(foreign_home))

    foreign_home.parent.chmod(0o700)
    assert found.startswith("BOT_HOME must be the bot's folder")


def test_home_of_an_ordinary_user_is_accepted(foreign_home: Path) -> None:
    assert as_ordinary_user(lambda: str(accepted(foreign_home).home.root)) == str(foreign_home)


def test_versions_file_elsewhere_is_read_instead(home: Path, tmp_path: Path) -> None:
    (home / "gui" / "command_bus_versions.json").rename(tmp_path / "versions.json")

    assert "does not exist" in problem(home)
    accepted(home, COMMAND_BUS_VERSIONS_PATH=str(tmp_path / "versions.json"))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev", "/nonexistent/v.json"], ids=["endless", "folder", "missing"])
def test_versions_path_that_is_no_file_is_refused_at_once(home: Path, path: str) -> None:
    assert path in problem(home, COMMAND_BUS_VERSIONS_PATH=path)


def test_versions_file_that_is_a_pipe_is_refused_at_once(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "versions.json")

    assert "expected a regular file" in problem(home, COMMAND_BUS_VERSIONS_PATH=str(tmp_path / "versions.json"))


def test_largest_versions_file_is_read_and_a_larger_one_refused(home: Path) -> None:
    path = home / "gui" / "command_bus_versions.json"
    path.write_text(json.dumps(understood_versions()).ljust(MAX_VERSIONS_FILE_BYTES))
    accepted(home)

    for too_large in (MAX_VERSIONS_FILE_BYTES + 1, MAX_FILE_BYTES + 1):
        os.truncate(path, too_large)
        assert f"expected at most {MAX_VERSIONS_FILE_BYTES} bytes" in problem(home)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\xff", "not UTF-8 at byte 0"),
        (b"{", "malformed"),
        (b'{"a": 1, "a": 1}', "malformed"),
        (b"[" * 30_000 + b"]" * 30_000, "malformed"),
        (b"null", "must hold one object of type and version, found null"),
        (b"7", "must hold one object of type and version, found a number"),
    ],
    ids=["no text", "cut off", "a key twice", "too deep", "null", "a number"],
)
def test_versions_file_that_cannot_be_understood_is_named(home: Path, content: bytes, named: str) -> None:
    (home / "gui" / "command_bus_versions.json").write_bytes(content)

    sentence = problem(home)
    assert "command_bus_versions.json" in sentence
    assert named in sentence


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (0, "0"),
        (2, "2"),
        (-1, "-1"),
        (1.0, "1.0"),
        ("1", "a string"),
        (True, "a boolean"),
        (None, "null"),
        ([1], "an array"),
        ({"v": 1}, "an object"),
    ],
    ids=str,
)
def test_version_that_is_not_exactly_the_one_understood_is_refused(home: Path, version: object, told: str) -> None:
    stated = {**understood_versions(), "apply_baseline_holdings": version}
    (home / "gui" / "command_bus_versions.json").write_text(json.dumps(stated))

    assert problem(home).endswith(f"apply_baseline_holdings must be 1, found {told}")
