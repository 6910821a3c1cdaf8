"""Every surface of every client that the tests play."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.clients.dialect import Dialect
from tests.clients.dialect_ccxt import Ccxt, CcxtPro, CcxtProApi
from tests.clients.dialect_python_binance import PythonBinance, PythonBinanceApi, PythonBinanceAsync
from tests.clients.dialect_sdk import SdkApi, SdkRest
from tests.clients.raw import RawApi

SURFACES: Final[Mapping[str, type[Dialect]]] = MappingProxyType(
    {
        each.surface: each
        for each in (
            Ccxt,
            CcxtPro,
            CcxtProApi,
            PythonBinance,
            PythonBinanceAsync,
            PythonBinanceApi,
            SdkRest,
            SdkApi,
        )
    }
)


def offers(surface: str, call: str, operation: str) -> bool:
    """Whether the client has that call; one with the API's own names must name the operation, too."""
    dialect = SURFACES[surface]
    return dialect.offers(call) and (not issubclass(dialect, RawApi) or operation in dialect.names)
