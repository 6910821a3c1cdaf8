"""What each client makes of a refusal: its own exception, and the API's code where a program can read it off.

Each refusal has its accepted twin, by the same client in the same world.
"""

from typing import Final

import pytest

from tests.clients.dialect_sdk import RETURNED
from tests.clients.process import ClientProcess, ClientRaisedError
from tests.clients.refusals import REFUSALS, Refusal
from tests.clients.stage import staged
from tests.clients.surfaces import SURFACES

# Number: ccxt's exception, whether its text still holds the code, and the SDK's exception by REST.
RAISED: Final = {
    "40": ("AuthenticationError", True, "BadRequestError"),
    "41": ("InvalidNonce", True, "BadRequestError"),
    "42": ("InvalidNonce", True, "BadRequestError"),
    "43": ("BadRequest", True, "BadRequestError"),
    "44": ("InvalidOrder", False, "BadRequestError"),
    "45": ("InsufficientFunds", False, "BadRequestError"),
    "46": ("BadSymbol", True, "BadRequestError"),
    "47": ("OrderNotFound", True, "BadRequestError"),
    "48": ("OrderNotFound", True, "BadRequestError"),
    "49": ("BadRequest", True, "BadRequestError"),
    "50": ("DDoSProtection", True, "TooManyRequestsError"),
    "51": ("DDoSProtection", True, "RateLimitBanError"),
    "52": ("RequestTimeout", True, "ServerError"),
    "53": ("AuthenticationError", True, "UnauthorizedError"),
}
# Where a surface differs: ccxt reads 429 and 418 by HTTP status alone, and the SDK tells only the status of a 504.
DIFFERING: Final = {
    ("50", "ccxt_pro_api"): ("RateLimitExceeded", -1003),
    ("51", "ccxt_pro_api"): ("RateLimitExceeded", -1003),
    ("52", "sdk_rest"): ("ServerError", 504),
}


def expected(refusal: Refusal, surface: str) -> tuple[str, int | None]:
    """The exception, and the code that can be read off it."""
    by_ccxt, tells_code, by_sdk = RAISED[refusal.number]
    usual = {
        "ccxt": (by_ccxt, refusal.code if tells_code else None),
        "python": ("BinanceAPIException", refusal.code),
        "sdk": (by_sdk, refusal.code),
    }
    usual_here = (RETURNED, refusal.code) if surface == "sdk_api" else usual[surface.partition("_")[0]]
    return DIFFERING.get((refusal.number, surface), usual_here)


PLAYED = [
    pytest.param(each, surface, id=f"{each.number}-{surface}")
    for each in REFUSALS.values()
    for surface in SURFACES
    if each.is_offered_by(surface)
]


@pytest.mark.parametrize(("each", "surface"), PLAYED)
def test_refusal_as_the_client_raises_it_and_its_accepted_twin(
    process: ClientProcess, each: Refusal, surface: str
) -> None:
    client = SURFACES[surface](process)
    with staged(client, stands=each.stands) as stage:
        with pytest.raises(ClientRaisedError) as raised:
            each.provoke(stage)

        refused = stage.log()[-1]
        assert (refused.status, refused.code) == (each.status, each.code)
        assert (raised.value.type, client.code_of(raised.value)) == expected(each, surface)
        assert len(stage.orders()) == each.orders

        each.accept(stage)
        assert [(entry.status, entry.code) for entry in stage.log()[-1:]] == [(200, 0)]


def test_every_client_meets_ten_refusals_or_more() -> None:
    met = {surface: sum(each.is_offered_by(surface) for each in REFUSALS.values()) for surface in SURFACES}
    assert {surface: count for surface, count in met.items() if count < 10} == {}
    assert [*REFUSALS] == sorted(REFUSALS) == [*RAISED]


def test_order_behind_an_unknown_outcome_is_found_and_can_be_canceled(process: ClientProcess) -> None:
    client = SURFACES["ccxt"](process)
    with staged(client, stands=False) as stage:
        with pytest.raises(ClientRaisedError):
            REFUSALS["52"].provoke(stage)

        [found] = client.open_orders()
        assert [found] == stage.orders()
        assert client.cancel(found.order_id).status == "CANCELED"


def test_banned_client_is_told_how_long(process: ClientProcess) -> None:
    client = SURFACES["sdk_rest"](process)
    with staged(client, stands=True) as stage:
        with pytest.raises(ClientRaisedError) as raised:
            REFUSALS["51"].provoke(stage)
        assert raised.value.fields["retry_after"] == 600


def test_client_process_reaches_nothing_but_loopback(process: ClientProcess) -> None:
    client = SURFACES["python_binance_async"](process)
    with staged(client, stands=True), pytest.raises(ClientRaisedError) as raised:
        process.call("client.futures_ping")
    assert "expected loopback, found testnet.binancefuture.com" in raised.value.text
