"""The scrubber: no planted secret survives, in any form, under any name, at any depth; clean values stay."""

import base64
import json
import string
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.guards.secrets import MAX_DEPTH, MAX_VALUES, SCRUBBED, scrub, scrub_text, secret_problems

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXCHANGE_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"

PASSWORD = "hunter2-Tr0ub4dor"
FORMS: dict[str, Callable[[str], str]] = {
    "dsn": lambda secret: f"postgres://gui:{secret}@db.internal:5432/tradingbot_gui",
    "dsn-with-driver": lambda secret: f"postgresql+psycopg://gui:{secret}@db/x?sslmode=require",
    "dsn-without-user": lambda secret: f"redis://:{secret}@cache:6379/0",
    "dsn-in-a-sentence": lambda secret: f"could not connect to (postgres://gui:{secret}@db/x), giving up",
    "conninfo": lambda secret: f"host=db user=gui password={secret} dbname=x",
    "conninfo-quoted": lambda secret: f"host=db password = '{secret}' dbname=x",
    "environment": lambda secret: f"GUI_DB_PASSWORD={secret}",
    "export": lambda secret: f'export BINANCE_API_SECRET="{secret}"',
    "json": lambda secret: json.dumps({"user": "gui", "password": f"{secret} {secret}", "n": 1}),
    "json-in-json": lambda secret: json.dumps(json.dumps({"apiKey": f"{secret} {secret}"})),
    "python-repr": lambda secret: repr({"secret_key": secret, "n": 1}),
    "yaml": lambda secret: f"db:\n  passphrase: {secret}\n",
    "bearer": lambda secret: f"Authorization: Bearer {secret}",
    "bearer-alone": lambda secret: f"sent bearer {secret}",
    "basic": lambda secret: "Basic " + base64.b64encode(f"gui:{secret}".encode()).decode(),
    "header": lambda secret: f"X-MBX-APIKEY: {secret}",
    "cookie": lambda secret: f"Set-Cookie: {secret}",
    "query": lambda secret: f"https://testnet.binance.vision/api/v3/order?symbol=BTCUSDT&signature={secret}",
    "percent-encoded": lambda secret: f"a%26password%3D{secret}",
    "option": lambda secret: f"worker --password {secret} --once",
    "option-with-sign": lambda secret: f"worker --api-key={secret}",
    "private-key": lambda secret: f"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n-----END RSA PRIVATE KEY-----",
    "private-key-cut-off": lambda secret: f"-----BEGIN PRIVATE KEY-----\n{secret}\n",
    "upper-case": lambda secret: f"PASSWORD={secret}",
}

KEY_FORMS = {
    "exchange-key": EXCHANGE_KEY,
    "exchange-key-in-a-sentence": f"key {EXCHANGE_KEY} refused",
    "hex-of-64-without-a-name": f"sent {SHA256}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "aws-access": "AKIAIOSFODNN7EXAMPLE",
    "aws-secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "slack": "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
    "token-before-a-host": "see https://qazwsxedcrfvtgbyhnuj@example.org/x",
    "pem": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----",
}

SECRET_NAMES = [
    "password",
    "Password",
    "db_password",
    "GUI_DB_PASSWORD",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "clientSecret",
    "token",
    "accessToken",
    "refresh-token",
    "api_key",
    "apiKey",
    "APIKEY",
    "X-MBX-APIKEY",
    "private_key",
    "authorization",
    "Proxy-Authorization",
    "credentials",
    "dsn",
    "DATABASE_URL",
    "connection_string",
    "conninfo",
    "signature",
    "cookie",
    "session_id",
    "jwt",
    "otp",
    "ｐａｓｓｗｏｒｄ",
]

CLEAN_NAMES = [
    "idempotency_key",
    "key",
    "profile_id",
    "exchange_connection_id",
    "requested_by",
    "validated_risk_keys_n",
    "subject",
    "hard_confirm",
    "assets",
    "author",
    "compass",
    "design",
    "spinner",
    "checksum",
    "portfolio_sha256",
]

CLEAN_TEXTS = [
    "",
    "profile.apply.dry_run_requested",
    "b4033597-0f90-4c6a-9b55-2a31648f10d5",
    "2026-05-09T09:05:00.000000Z",
    "profile:dry_run:b4033597-0f90-4c6a-9b55-2a31648f10d5:1:0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d11",
    "baseline:apply:" + SHA256,
    "mh:drift:BTC:12:" + SHA256,
    "checksum " + SHA256,
    f"sha256={SHA256}",
    f"expected sha256 '{SHA256}'",
    "commit 0c372c4d0a3f1b2c3d4e5f60718293a4b5c6d7e8",
    "state/audit_snapshots/b4033597-0f90-4c6a-9b55-2a31648f10d5.json",
    "validation/secret_found: the profile has 1 problem(s)",
    "see basic information about bearer of news",
    "https://testnet.binance.vision/api/v3/ticker/price?symbol=BTCUSDT",
    "postgres://gui@db.internal:5432/tradingbot_gui",
    "http://localhost:8080 and http://127.0.0.1:9000/x",
    "write to operator@example.org at 09:15:00",
    "max_total_exposure_pct=0.2 log_level: info",
    "the password must be changed",
    "spread too wide: 0.4 %",
    "risk-settings-of-the-profile-and-its-limits",
    "/var/lib/project/state/managed_state.json",
    "schlüssel 鍵 🔑",
]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_password_in_any_form_is_taken_out_of_a_text(form: Callable[[str], str]) -> None:
    text = form(PASSWORD)
    cleaned = scrub_text(text)
    assert "hunter2" not in cleaned
    assert "Tr0ub4dor" not in cleaned
    assert SCRUBBED in cleaned


@pytest.mark.parametrize(
    "password", ["p@ss", "p/w?x#y", "p:w@x", "p w@x/y", "5432/x", "it's", 'quo"te', "a,b;c&d", "päss鍵"], ids=ascii
)
def test_password_with_awkward_characters_is_taken_out_of_a_dsn(password: str) -> None:
    assert scrub_text(f"postgres://gui:{password}@db.internal/x") == f"postgres://{SCRUBBED}@db.internal/x"


def test_dsn_keeps_what_is_no_secret() -> None:
    cleaned = scrub_text(f"could not connect to postgres://gui:{PASSWORD}@db.internal:5432/x in 5 s")
    assert cleaned == f"could not connect to postgres://{SCRUBBED}@db.internal:5432/x in 5 s"


def test_quoted_password_ends_at_its_quote() -> None:
    assert scrub_text(r"password='it\'s me, you see' host=db") == f"password='{SCRUBBED}' host=db"


def test_quoted_password_that_never_ends_is_taken_out_to_the_end_of_its_line() -> None:
    assert scrub_text("password='it is me\nhost=db") == f"password='{SCRUBBED}\nhost=db"


def test_json_text_stays_json() -> None:
    text = json.dumps({"password": f'a "{PASSWORD}" b', "n": [1]})
    assert json.loads(scrub_text(text)) == {"password": SCRUBBED, "n": [1]}


@pytest.mark.parametrize("text", KEY_FORMS.values(), ids=KEY_FORMS.keys())
def test_key_known_by_its_form_is_taken_out_of_a_text(text: str) -> None:
    longest = max(text.split(), key=len)
    assert longest not in scrub_text(text)


@pytest.mark.parametrize("text", [*CLEAN_TEXTS], ids=lambda text: ascii(text)[:40])
def test_clean_text_stays_as_it_is(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_scrubbed_text_stays_as_it_is(form: Callable[[str], str]) -> None:
    cleaned = scrub_text(form(PASSWORD))
    assert scrub_text(cleaned) == cleaned


@pytest.mark.parametrize("name", SECRET_NAMES, ids=ascii)
@pytest.mark.parametrize("secret", ["x", 1234, Decimal("12.5"), ["a", "b"], {"a": 1}, b"abc"], ids=repr)
def test_anything_under_a_secret_name_is_taken_out(name: str, secret: object) -> None:
    assert scrub({name: secret, "n": 1}) == {name: SCRUBBED, "n": 1}


@pytest.mark.parametrize("name", SECRET_NAMES, ids=ascii)
@pytest.mark.parametrize("nothing", [None, "", True, False], ids=repr)
def test_nothing_under_a_secret_name_stays(name: str, nothing: object) -> None:
    assert scrub({name: nothing}) == {name: nothing}


@pytest.mark.parametrize("name", CLEAN_NAMES)
@pytest.mark.parametrize("value", ["plain", 5, Decimal("0.20"), None, ["a"], {"a": "b"}], ids=repr)
def test_anything_clean_under_a_clean_name_stays(name: str, value: object) -> None:
    assert scrub({name: value}) == {name: value}


@pytest.mark.parametrize("name", ["checksum", "sha256", "previous_sha256", "portfolioSha256", "idempotency_key"])
def test_digest_under_its_own_name_stays(name: str) -> None:
    assert scrub({name: SHA256}) == {name: SHA256}


@pytest.mark.parametrize("name", ["n", "note", "key", "subject", "signature"])
def test_digest_under_another_name_is_taken_out(name: str) -> None:
    assert scrub({name: SHA256}) == {name: SCRUBBED}


def test_exchange_key_under_a_digest_name_is_taken_out() -> None:
    assert scrub({"checksum": EXCHANGE_KEY}) == {"checksum": SCRUBBED}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "password", "value": "x1"},
        {"header": "Authorization", "value": "x1"},
        ["X-MBX-APIKEY", "x1"],
        [["Accept", "y"], ["token", "x1"]],
    ],
    ids=repr,
)
def test_secret_named_by_a_neighbour_is_taken_out(value: object) -> None:
    assert "x1" not in repr(scrub(value))


def test_secret_in_a_key_is_taken_out_and_no_entry_is_lost() -> None:
    cleaned = scrub({f"postgres://u:{PASSWORD}@db": 1, f"postgres://u:{PASSWORD}x@db": 2})
    assert sorted(cleaned.values()) == [1, 2]
    assert "hunter2" not in repr(cleaned)


def test_other_objects_become_text_and_bytes_are_taken_out() -> None:
    profile = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
    assert scrub({"a": profile, "b": b"abc", "c": (1, 2)}) == {"a": str(profile), "b": SCRUBBED, "c": [1, 2]}


def test_scrub_leaves_its_argument_alone() -> None:
    given_value = {"token": "x", "rows": [{"password": "y"}]}
    scrub(given_value)
    assert given_value == {"token": "x", "rows": [{"password": "y"}]}


def test_problems_name_each_place_and_never_a_secret() -> None:
    items = [{"token": PASSWORD}, f"postgres://u:{PASSWORD}@db", b"x"]
    value = {"a": items, f"password={PASSWORD}": 1, "b": "clean"}
    assert secret_problems(value) == (
        "value.a[0].token stands under a secret's name",
        "value.a[1] looks like a secret",
        "value.a[2] holds bytes",
        "value has a key that looks like a secret",
        f"value.password={SCRUBBED} stands under a secret's name",
    )


def test_clean_value_has_no_problem() -> None:
    assert secret_problems({name: list(CLEAN_TEXTS) for name in ("a", "idempotency_key")}) == ()


def test_nesting_within_the_bound_stays_and_beyond_it_is_taken_out() -> None:
    def nested(depth: int) -> Any:
        value: Any = "plain"
        for _ in range(depth):
            value = [value]
        return value

    assert scrub(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    assert "plain" not in repr(scrub(nested(MAX_DEPTH + 1)))


def test_value_that_holds_itself_is_cut() -> None:
    value: list[Any] = [PASSWORD]
    value.append({"token": PASSWORD, "again": value})
    assert repr(scrub(value)).count("...") == 0


def test_values_beyond_the_bound_are_dropped() -> None:
    assert len(scrub(list(range(MAX_VALUES - 1)))) == MAX_VALUES - 1
    assert len(scrub(list(range(2 * MAX_VALUES)))) < MAX_VALUES
    assert secret_problems(list(range(2 * MAX_VALUES))) != ()


@pytest.mark.parametrize("length", [65_536, 65_537])
def test_text_beyond_the_bound_is_taken_out_whole(length: int) -> None:
    assert (scrub_text("a " * (length // 2) + " " * (length % 2)) == SCRUBBED) is (length > 65_536)


HOSTILE = [
    "eyJ",
    "eyJ.",
    "-----BEGIN A-----",
    "-----BEGIN ",
    "://",
    "://a:",
    "://a:b@",
    "a:",
    "a.",
    "password=",
    "password='",
    'password=\\"',
    "--password ",
    "bearer ",
    "basic aaaa",
    "sk-",
    "ghp_",
    "AKIA",
    "a",
    "aA0/",
    "-",
    " ",
    "=",
    '"',
]


@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
def test_hostile_text_is_read_in_linear_time(part: str) -> None:
    text = (part * 65_536)[:65_536]
    started = time.process_time()
    scrub_text(text)
    # About a tenth of a second at worst; anything quadratic takes minutes.
    assert time.process_time() - started < 5


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([text for text in CLEAN_TEXTS if SHA256 not in text]),
    st.uuids().map(str),
)
clean_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(CLEAN_NAMES), inner, max_size=4),
    max_leaves=12,
)
passwords = st.text(alphabet=string.ascii_letters + string.digits + "!$%^*()_+-.~", min_size=6, max_size=30).map(
    lambda text: f"Zq9{text}9qZ"
)
Wrapper = Callable[[Any], Any]
wrappers: st.SearchStrategy[Wrapper] = st.one_of(
    st.sampled_from(CLEAN_NAMES).map(lambda name: lambda inner: {name: inner}),
    clean_values.map(lambda before: lambda inner: [before, inner, before]),
    st.sampled_from(CLEAN_NAMES).map(lambda name: lambda inner: {"n": 1, name: [inner]}),
)


def wrapped(inner: Any, layers: list[Wrapper]) -> Any:
    for layer in layers:
        inner = layer(inner)
    return inner


@given(clean_values)
def test_any_clean_value_stays_as_it_is(value: Any) -> None:
    assert scrub(value) == value
    assert secret_problems(value) == ()


@given(passwords, st.sampled_from(sorted(FORMS)), st.lists(wrappers, max_size=6))
def test_planted_secret_survives_in_no_form_and_no_nesting(password: str, form: str, layers: list[Wrapper]) -> None:
    value = wrapped(FORMS[form](password), layers)
    assert password not in repr(scrub(value))
    problems = secret_problems(value)
    assert problems != ()
    assert password not in repr(problems)


@given(passwords, st.sampled_from(SECRET_NAMES), st.lists(wrappers, max_size=6))
def test_planted_secret_survives_under_no_secret_name(password: str, name: str, layers: list[Wrapper]) -> None:
    value = wrapped({name: password}, layers)
    assert password not in repr(scrub(value))
    assert secret_problems(value) != ()


words_of_64 = st.text(alphabet=string.ascii_letters + string.digits, min_size=64, max_size=64)


@given(words_of_64.filter(lambda word: not set(word) <= set("0123456789abcdef")), st.sampled_from(CLEAN_NAMES))
def test_any_word_of_64_letters_and_digits_is_taken_out(key: str, name: str) -> None:
    assert key not in repr(scrub({name: f"key {key}", "list": [key]}))


@given(st.recursive(st.text() | leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_scrubbing_twice_is_scrubbing_once(value: Any) -> None:
    once = scrub(value)
    assert scrub(once) == once
    assert secret_problems(once) == ()
