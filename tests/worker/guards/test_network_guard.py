"""The testnet guard: payload, flag, `.env` file, named hosts. Each refusal stands beside its accepted twin."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.guards import network

TESTNET_FIELDS: dict[str, Any] = {"environment": "testnet", "dry_run": True, "exchange_connection_id": None}

WRONG_FLAGS = [
    None,
    "",
    "True",
    "TRUE",
    "1",
    "yes",
    "on",
    "t",
    "tru",
    "truee",
    " true",
    "true ",
    "true\n",
    "\ttrue",
    "'true'",
    '"true"',
    "false",
    "False",
    "0",
    "no",
    "off",
    "true#false",
    "true # testnet",
    "true;",
    "\u200btrue",
    "true\u200b",
    "\ufefftrue",
    "ｔｒｕｅ",
    "trüe",
    "${BINANCE_TESTNET}",
]

REFUSED_FILES = {
    "empty": "",
    "only-blank-lines": "\n\n",
    "commented": "# BINANCE_TESTNET=true\n",
    "false": "BINANCE_TESTNET=false\n",
    "capitalised": "BINANCE_TESTNET=True\n",
    "one": "BINANCE_TESTNET=1\n",
    "no-value": "BINANCE_TESTNET=\n",
    "no-sign": "BINANCE_TESTNET\n",
    "space-before-sign": "BINANCE_TESTNET =true\n",
    "space-after-sign": "BINANCE_TESTNET= true\n",
    "tab-before-sign": "BINANCE_TESTNET\t=true\n",
    "trailing-space": "BINANCE_TESTNET=true \n",
    "trailing-tab": "BINANCE_TESTNET=true\t\n",
    "leading-space": " BINANCE_TESTNET=true\n",
    "colon": "BINANCE_TESTNET: true\n",
    "single-quotes": "BINANCE_TESTNET='true'\n",
    "double-quotes": 'BINANCE_TESTNET="true"\n',
    "quoted-spaces": "BINANCE_TESTNET=' true '\n",
    "quoted-key": "'BINANCE_TESTNET'=true\n",
    "inline-comment": "BINANCE_TESTNET=true # testnet\n",
    "glued-comment": "BINANCE_TESTNET=true#false\n",
    "semicolon": "BINANCE_TESTNET=true;\n",
    "export": "export BINANCE_TESTNET=true\n",
    "export-beside-the-line": "BINANCE_TESTNET=true\nexport BINANCE_TESTNET=false\n",
    "unset-after": "BINANCE_TESTNET=true\nunset BINANCE_TESTNET\n",
    "twice-alike": "BINANCE_TESTNET=true\nBINANCE_TESTNET=true\n",
    "twice-false-last": "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
    "twice-false-first": "BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "lower-case-key": "binance_testnet=true\n",
    "lower-case-key-beside": "BINANCE_TESTNET=true\nbinance_testnet=false\n",
    "mixed-case-key-beside": "BINANCE_TESTNET=true\nBinance_Testnet=false\n",
    "byte-order-mark": "\ufeffBINANCE_TESTNET=true\n",
    "byte-order-mark-before-a-comment": "\ufeff# note\nBINANCE_TESTNET=true\n",
    "carriage-return": "BINANCE_TESTNET=true\r\n",
    "carriage-return-elsewhere": "LOG=x\r\nBINANCE_TESTNET=true\n",
    "lone-carriage-return": "# note\rBINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "form-feed": "BINANCE_TESTNET=true\n# a\x0cBINANCE_TESTNET=false\n",
    "line-separator": "BINANCE_TESTNET=true\n# a\u2028BINANCE_TESTNET=false\n",
    "next-line": "BINANCE_TESTNET=true\n# a\x85BINANCE_TESTNET=false\n",
    "interpolation": "BINANCE_TESTNET=${OTHER}\n",
    "interpolation-default": "BINANCE_TESTNET=${BINANCE_TESTNET:-true}\n",
    "zero-width-value": "BINANCE_TESTNET=\u200btrue\n",
    "zero-width-value-end": "BINANCE_TESTNET=true\u200b\n",
    "zero-width-key-beside": "BINANCE_TESTNET=true\nBINANCE_\u200bTESTNET=false\n",
    "full-width-value": "BINANCE_TESTNET=ｔｒｕｅ\n",
    "full-width-key-beside": "BINANCE_TESTNET=true\nＢＩＮＡＮＣＥ_ＴＥＳＴＮＥＴ=false\n",
    "second-command-on-a-line": "BINANCE_TESTNET=true\nFOO=1; BINANCE_TESTNET=false\n",
    "misspelt-key": "BINANCE_TESNET=true\n",
    "longer-key": "MY_BINANCE_TESTNET=true\n",
    "inside-double-quotes": 'NOTE="\nBINANCE_TESTNET=true\n"\n',
    "inside-single-quotes": "NOTE='a\nBINANCE_TESTNET=true\n'\n",
    "inside-escaped-quotes": 'NOTE="a\\"\nBINANCE_TESTNET=true\n"\n',
    "inside-yaml-quotes": 'NOTE: "a\nBINANCE_TESTNET=true\n"\n',
    "joined-by-backslash": "NOTE=a\\\nBINANCE_TESTNET=true\n",
    "too-large": "BINANCE_TESTNET=true\n" + "#" * 65_536,
}

ACCEPTED_FILES = {
    "the-line": "BINANCE_TESTNET=true\n",
    "without-last-line-feed": "BINANCE_TESTNET=true",
    "blank-lines": "\n\nBINANCE_TESTNET=true\n \n\t\n",
    "comments": "# BINANCE_TESTNET=false\n  # note: it's \"open\nBINANCE_TESTNET=true\n",
    "other-keys": "GUI_DB_HOST=db\nBINANCE_TESTNET=true\nGUI_DB_PASSWORD=it's\n",
    "key-that-begins-alike": "BINANCE_TESTNET=true\nBINANCE_TESTNET_URL=x\n",
    "key-that-ends-alike": "MY_BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "other-key-exported": "export LOG=info\nBINANCE_TESTNET=true\n",
    "other-value-quoted": "A=\"b c\"\nB='d'\nC=`e`\nBINANCE_TESTNET=true\n",
    "other-value-with-escaped-quote": 'A="b\\"c"\nBINANCE_TESTNET=true\n',
    "other-value-names-the-flag": "A=$BINANCE_TESTNET\nBINANCE_TESTNET=true\n",
    "largest": "BINANCE_TESTNET=true\n" + "#" * 65_515,
}


def test_payload_for_a_testnet_dry_run_is_accepted() -> None:
    network.require_testnet_payload(TESTNET_FIELDS)


@pytest.mark.parametrize(
    "environment",
    ["mainnet", "live", "prod", "MAINNET", "Testnet", " testnet", "testnet ", "ｔestnet", "", None, True, ["testnet"]],
    ids=repr,
)
def test_payload_for_another_environment_is_refused(environment: object) -> None:
    with pytest.raises(EnvironmentNotAllowed) as refusal:
        network.require_testnet_payload({**TESTNET_FIELDS, "environment": environment})
    assert refusal.value.reason is Reason.ENVIRONMENT_NOT_TESTNET


@pytest.mark.parametrize("dry_run", [False, None, 1, "true", "True", [True]], ids=repr)
def test_payload_that_is_no_dry_run_is_refused(dry_run: object) -> None:
    with pytest.raises(Refusal) as refusal:
        network.require_testnet_payload({**TESTNET_FIELDS, "dry_run": dry_run})
    assert refusal.value.reason is Reason.DRY_RUN_REQUIRED


@pytest.mark.parametrize("connection", ["", "abc", 0, False, UUID(int=1), [], {}], ids=repr)
def test_payload_with_an_exchange_connection_is_refused(connection: object) -> None:
    with pytest.raises(Refusal) as refusal:
        network.require_testnet_payload({**TESTNET_FIELDS, "exchange_connection_id": connection})
    assert refusal.value.reason is Reason.EXCHANGE_CONNECTION_NOT_ALLOWED


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("environment", Reason.ENVIRONMENT_NOT_TESTNET),
        ("dry_run", Reason.DRY_RUN_REQUIRED),
        ("exchange_connection_id", Reason.EXCHANGE_CONNECTION_NOT_ALLOWED),
    ],
)
def test_payload_without_a_guarded_field_is_refused(missing: str, reason: Reason) -> None:
    fields = {key: value for key, value in TESTNET_FIELDS.items() if key != missing}
    with pytest.raises(Refusal) as refusal:
        network.require_testnet_payload(fields)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({}, "payload has no environment, expected 'testnet'"),
        ({"environment": None}, "payload has environment null, expected 'testnet'"),
        ({"environment": "mainnet"}, "payload has environment 'mainnet', expected 'testnet'"),
        ({"environment": {}}, "payload has environment an object, expected 'testnet'"),
    ],
    ids=str,
)
def test_environment_of_a_payload_is_told_in_the_words_of_a_payload(stated: dict[str, object], told: str) -> None:
    fields = {key: value for key, value in TESTNET_FIELDS.items() if key != "environment"}
    with pytest.raises(EnvironmentNotAllowed) as refusal:
        network.require_testnet_payload({**fields, **stated})
    assert refusal.value.message == told


def test_payload_wrong_in_every_way_is_refused_for_its_environment_first() -> None:
    with pytest.raises(EnvironmentNotAllowed):
        network.require_testnet_payload({"environment": "mainnet", "dry_run": False, "exchange_connection_id": "x"})


@pytest.mark.parametrize("field", TESTNET_FIELDS)
def test_refusal_never_shows_a_secret_put_in_a_guarded_field(field: str) -> None:
    secret = "hunter2-is-a-long-password"
    with pytest.raises(Refusal) as refusal:
        network.require_testnet_payload({**TESTNET_FIELDS, field: secret})
    assert secret not in str(refusal.value)


def test_flag_that_is_exactly_true_has_no_problem() -> None:
    assert network.testnet_flag_problem("true") is None


@pytest.mark.parametrize("value", WRONG_FLAGS, ids=ascii)
def test_flag_in_any_other_spelling_has_a_problem(value: str | None) -> None:
    assert network.testnet_flag_problem(value) is not None


@given(st.text(max_size=40).filter(lambda text: text != "true"))
def test_flag_of_any_other_text_has_a_problem(value: str) -> None:
    assert network.testnet_flag_problem(value) is not None


def test_flag_problem_never_shows_a_long_value() -> None:
    problem = network.testnet_flag_problem("a-key-pasted-into-the-wrong-line")
    assert problem is not None
    assert "pasted" not in problem


@pytest.mark.parametrize("text", ACCEPTED_FILES.values(), ids=ACCEPTED_FILES.keys())
def test_env_file_with_exactly_the_line_has_no_problem(text: str) -> None:
    assert network.env_file_problem(text, "true") is None


@pytest.mark.parametrize("text", REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_env_file_in_any_other_spelling_has_a_problem(text: str) -> None:
    assert network.env_file_problem(text, "true") is not None


@pytest.mark.parametrize("environ_value", [None, "", "false", "True", " true"], ids=repr)
def test_env_file_that_differs_from_the_environment_has_a_problem(environ_value: str | None) -> None:
    assert network.env_file_problem("BINANCE_TESTNET=true\n", environ_value) is not None


@pytest.mark.parametrize("text", REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_env_file_problem_never_shows_other_values(text: str) -> None:
    problem = network.env_file_problem(f"{text}\nGUI_DB_PASSWORD=hunter2\n", "true")
    assert problem is not None
    assert "hunter2" not in problem


@given(st.lists(st.sampled_from([*"BINANCE_TESTNET=true #'\"\n\r\t\\:", "\u200b", "export ", "false"]), max_size=12))
def test_env_file_is_accepted_only_with_exactly_one_plain_line(parts: list[str]) -> None:
    text = "".join(["BINANCE_TESTNET=true", *parts])
    accepted = network.env_file_problem(text, "true") is None
    assert not accepted or text.split("\n").count("BINANCE_TESTNET=true") == 1


MAINNET_TEXTS = [
    ("api.binance.com", "api.binance.com"),
    ("https://API.Binance.COM/api/v3/ping", "api.binance.com"),
    ("https://api.binance.com./x", "api.binance.com"),
    ("https://api.binance.com:443", "api.binance.com"),
    ("https://testnet.binance.vision@api.binance.com/", "api.binance.com"),
    ("https://testnet.binance.vision/?next=api4.binance.com", "api4.binance.com"),
    ("https://testnet.binance.vision\\@api-gcp.binance.com", "api-gcp.binance.com"),
    ("wss://stream.binance.com:9443/ws", "stream.binance.com"),
    ("https://data-api.binance.vision/api", "data-api.binance.vision"),
    ("https://demo-api.binance.com", "demo-api.binance.com"),
    ("https://api%2ebinance%2ecom", "api.binance.com"),
    ("https://api%252ebinance.com", "api.binance.com"),
    ("https://ａｐｉ.ｂｉｎａｎｃｅ.ｃｏｍ", "api.binance.com"),
    ("https://api。binance．com", "api.binance.com"),
    ("https://api\u200b.bin\u00adance.com", "api.binance.com"),
    ("https://edge.api.binance.com", "api.binance.com"),
    ("see api.binance.us.", "api.binance.us"),
    ('{"base_url":"https:\\/\\/fapi.binance.com"}', "fapi.binance.com"),
]

OTHER_TEXTS = [
    "",
    "https://testnet.binance.vision/api/v3",
    "https://api1.testnet.binance.vision",
    "wss://stream.testnet.binance.vision:9443/ws",
    "https://ws-api.testnet.binance.vision/ws-api/v3",
    "http://127.0.0.1:8080",
    "api.binance.com.example.org",
    "https://notbinance.com",
    "аpi.binаnce.com",  # Cyrillic letters: another host
    "api-binance-com",
    "apply_profile_testnet",
]


@pytest.mark.parametrize(("text", "host"), MAINNET_TEXTS, ids=[ascii(text) for text, _ in MAINNET_TEXTS])
def test_text_that_names_a_production_host_is_found(text: str, host: str) -> None:
    assert network.names_mainnet(text) == host


@pytest.mark.parametrize("text", OTHER_TEXTS, ids=ascii)
def test_text_that_names_only_other_hosts_is_not_found(text: str) -> None:
    assert network.names_mainnet(text) is None


@pytest.mark.parametrize("host", sorted(network.mainnet_hosts()))
def test_every_listed_host_is_found_with_port_case_and_dot(host: str) -> None:
    assert network.names_mainnet(f"x https://{host.upper()}.:9443/ y") == host


def test_no_testnet_host_is_listed() -> None:
    assert [host for host in network.mainnet_hosts() if "testnet" in host] == []
