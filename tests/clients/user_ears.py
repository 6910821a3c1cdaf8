"""`UserEar`: how a client listens to what happens to an account; each event is an execution report or balances."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from tests.clients.dialect import Dialect
from tests.clients.dialect_ccxt import CcxtPro, balances_seen, fill_seen
from tests.clients.dialect_python_binance import PythonBinanceAsync
from tests.clients.dialect_sdk import SdkApi
from tests.clients.events_seen import ReportSeen
from tests.clients.process import ClientProcess
from tests.clients.raw import WINDOW_MS
from tests.clients.seen import Balances, FillSeen, number
from tests.clients.stage import ACCOUNT, Stage

USER_DATA: Final = "userData"


def told_event(given: Any) -> ReportSeen | Balances:
    """An event as the API tells it; the SDK's models leave out its name, `e`, because their class says it."""
    if "x" in given:
        return ReportSeen.raw(given)
    return {each["a"]: (number(each["f"]), number(each["l"])) for each in given["B"]}


class UserEar:
    """Listens to every event of the account, in order."""

    surface: ClassVar[str]
    client: ClassVar[type[Dialect]]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process: ClientProcess = stage.client.process

    def listen(self) -> str:
        """Subscribes; the name of the stream at the exchange."""
        raise NotImplementedError

    def next(self) -> ReportSeen | Balances:
        """The next event."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends the subscription."""
        raise NotImplementedError


class SocketUserEar(UserEar):
    """python-binance's user socket, which subscribes by the WebSocket API."""

    surface = "python_binance_sockets"
    client = PythonBinanceAsync

    def listen(self) -> str:
        self.process.call("sockets.user_socket", keep="stream")
        self.process.call("stream.__aenter__", keep="entered")
        return USER_DATA

    def next(self) -> ReportSeen | Balances:
        return told_event(self.process.call("stream.recv"))

    def stop(self) -> None:
        self.process.call("stream.__aexit__", None, None, None)


class SdkUserEar(UserEar):
    """The SDK's WebSocket API: a subscription by signature, and a callback."""

    surface = "sdk_api"
    client = SdkApi

    def listen(self) -> str:
        self.process.call("api.user_data_stream_subscribe_signature", recv_window=WINDOW_MS, keep="user")
        self.process.ask("collect", name="user.stream").result()
        return USER_DATA

    def next(self) -> ReportSeen | Balances:
        return told_event(self.process.ask("next", name="user.stream").result())

    def stop(self) -> None:
        self.process.call("api.user_data_stream_unsubscribe", subscription_id=0)


class SdkListenKeyEar(UserEar):
    """The SDK's streams: user data by a listen key, which it has no call to make."""

    surface = "sdk_streams"
    client = SdkApi

    def listen(self) -> str:
        key = self.stage.world(lambda world: world.listen_keys.create(ACCOUNT, world.now_us()))
        self.process.call("streams.create_connection", keep="connected")
        self.process.call("streams.user_data", key, keep="stream")
        self.process.ask("collect", name="stream").result()
        return key

    def next(self) -> ReportSeen | Balances:
        return told_event(self.process.ask("next", name="stream").result())

    def stop(self) -> None:
        self.process.call("stream.unsubscribe")


USER_EARS: Final[Mapping[str, type[UserEar]]] = MappingProxyType(
    {each.surface: each for each in (SocketUserEar, SdkUserEar, SdkListenKeyEar)}
)


class CcxtUserEar:
    """ccxt.pro: one call for each kind of news, which returns the next time there is some."""

    surface = "ccxt_pro"
    client = CcxtPro

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process: ClientProcess = stage.client.process

    def listen(self) -> str:
        # watch_… subscribes by itself, but begins to wait only after that, and would miss what comes between.
        self.process.call("client.authenticate")
        return USER_DATA

    def _heard(self, call: str, happens: Callable[[], object]) -> Any:
        pending = self.process.start(f"client.{call}")
        self.process.call("client.milliseconds")  # answered when the call before it has begun to wait
        happens()
        return pending.result()

    def report(self, happens: Callable[[], object]) -> ReportSeen:
        found = self._heard("watch_orders", happens)[-1]
        raw = found["info"]
        return ReportSeen(
            order_id=int(found["id"]),
            execution=raw["x"],
            status=raw["X"],
            executed=number(found["filled"]),
            last_price=number(raw["L"]),
            last_quantity=number(raw["l"]),
        )

    def fill(self, happens: Callable[[], object]) -> FillSeen:
        return fill_seen(self._heard("watch_my_trades", happens)[-1])

    def balances(self, happens: Callable[[], object]) -> Balances:
        return balances_seen(self._heard("watch_balance", happens))
