"""What the bot repeats of others' words: everything but its own secrets."""

import httpx
import pytest

from sim.fake_bot.__main__ import main
from sim.fake_bot.exchange_answers import ServerTime
from sim.fake_bot.exchange_client import ExchangeClient, SaidNo
from sim.fake_bot.scrubbing import scrubbed, secrets_of

KEY = "a key with blanks"
SECRET = "s3cr3t-of-an-odd-form"


def asked(echo: str) -> SaidNo:
    """What a client makes of a refusal in those words."""
    answer = httpx.Response(400, json={"code": -1022, "msg": echo})
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer), base_url="http://127.0.0.1") as http:
        client = ExchangeClient(http, api_key=KEY, secret=SECRET, clock_ms=lambda: 0)
        with pytest.raises(SaidNo) as refused:
            client.ask("/api/v3/time", ServerTime)
    return refused.value


@pytest.mark.parametrize(
    "echo", [f"who is {KEY}?", f"not signed by {SECRET}", f"signature={'0a' * 32} is wrong", "b" * 64]
)
def test_exchange_that_repeats_a_secret_is_not_quoted(echo: str) -> None:
    told = str(asked(echo))
    assert "[scrubbed]" in told
    assert all(secret not in told for secret in (KEY, SECRET, "0a0a", "bbbb"))


def test_exchange_that_says_why_is_quoted() -> None:
    assert str(asked("Signature for this request is not valid.")) == "Signature for this request is not valid. (-1022)"


def test_secrets_are_those_that_are_set() -> None:
    environment = {"EXCHANGE_API_SECRET": SECRET, "EXCHANGE_API_KEY": "", "BINANCE_TESTNET": "true"}
    assert secrets_of(environment) == (SECRET,)
    assert scrubbed("listenKey=a1b2, side=BUY", ()) == "listenKey=[scrubbed] side=BUY"
    assert scrubbed(f"{SECRET} and true", secrets_of(environment)) == "[scrubbed] and true"


def test_traceback_of_a_defect_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)

    def defect(_: object) -> None:
        raise KeyError(f"{SECRET}, and signature={'0a' * 32}")

    monkeypatch.setattr("sim.fake_bot.__main__._require_paper", defect)
    assert main(["--paper"]) == 3

    told = capsys.readouterr().err
    assert "KeyError: '[scrubbed], and signature=[scrubbed]" in told
    assert "_require_paper" in told
