"""Which settings lead to the database that they name, and which lead libpq, or a resolver, somewhere else."""

import pytest

from worker.guards.database_address import database_address_problems
from worker.guards.network import mainnet_hosts

SECRET = "hunter-two-hunter-two"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "::1",
        "fe80::1%eth0",
        "gui-db.internal.",
        "db_1",
        "dätenbank.example",
        "/run/postgresql",
        "/var/run/a folder: with=signs@all",
        "@abstract",
        "",
    ],
)
def test_one_host_address_or_socket_is_accepted(host: str) -> None:
    assert database_address_problems({"GUI_DB_HOST": host}) == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1,127.0.0.2",
        "/run/postgresql,/tmp",
        f"postgresql://gui:{SECRET}@127.0.0.1/gui",
        f"gui:{SECRET}@127.0.0.1",
        f"127.0.0.1 password={SECRET}",
        "127.0.0.1\n",
        "127.0.0.1/gui",
    ],
)
def test_list_or_url_in_place_of_a_host_is_refused_and_not_shown(host: str) -> None:
    (problem,) = database_address_problems({"GUI_DB_HOST": host})
    assert problem.startswith("GUI_DB_HOST must be one host")
    assert SECRET not in problem


@pytest.mark.parametrize("host", sorted(mainnet_hosts()))
@pytest.mark.parametrize("form", ["{}", "{}.", "my.{}", "127.0.0.1,{}"])
def test_host_of_production_is_refused(form: str, host: str) -> None:
    assert len(database_address_problems({"GUI_DB_HOST": form.format(host).upper()})) == 1


@pytest.mark.parametrize("value", [SECRET, ""])
@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGSERVICE"])
def test_variable_that_leads_libpq_elsewhere_is_refused(variable: str, value: str) -> None:
    assert database_address_problems({"GUI_DB_HOST": "127.0.0.1", variable: value}) == [
        f"{variable} leads libpq to another host than GUI_DB_HOST; unset it"
    ]


@pytest.mark.parametrize(
    "environment",
    [{}, {"PGHOST": "db"}, {"PGUSER": "me"}, {"PGSSLMODE": "verify-full"}, {"PGSERVICEFILE": "/nowhere"}],
    ids=str,
)
def test_variable_that_leads_nowhere_is_accepted(environment: dict[str, str]) -> None:
    assert database_address_problems({"GUI_DB_HOST": "127.0.0.1", **environment}) == []
