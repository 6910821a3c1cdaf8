"""Connections of the WebSocket API, `/ws-api/v3`: requests go to the handlers of the REST API, user data comes back."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.exchange.account_reads import told_counts
from sim.exchange.call import Call
from sim.exchange.clock import MS, SECOND
from sim.exchange.core import Pending, begin
from sim.exchange.events import Event
from sim.exchange.operations import Operation, compiled, operation_named, refused_operation
from sim.exchange.refusals import ApiError
from sim.exchange.registry import Handler
from sim.exchange.streams.api_messages import ApiMessage, MessageRefusedError, read_message
from sim.exchange.streams.frames import Abort
from sim.exchange.streams.session import Session, encoded
from sim.exchange.streams.user_events import user_payload
from sim.exchange.tables import table
from sim.exchange.wire import Answer, Request, WireFaultKind
from sim.exchange.world import World

USER_DATA: Final = "userData"
"""What faults of streams call the user data of this API."""
_RATE_LIMITS: Final = "returnRateLimits"
_BREAKS: Final = frozenset({WireFaultKind.DROP, WireFaultKind.RESET, WireFaultKind.CUT})


class ApiSession(Session):
    """One connection. Subscriptions have ids that count up from 0 and are not used again."""

    def __init__(self, world: World, *, address: str, in_microseconds: bool, tells_limits: bool) -> None:
        super().__init__(world, address=address, in_microseconds=in_microseconds)
        self._tells_limits = tells_limits
        self._subscriptions: dict[int, str] = {}
        self._next_id = 0
        # What a fault delays, and when it is due.
        self._late: list[tuple[int, Callable[[], None]]] = []
        self._handlers: dict[str, Handler] = {
            "userDataStream.subscribe.signature": self._subscribe,
            "userDataStream.unsubscribe": self._unsubscribe,
            "session.subscriptions": self._list_subscriptions,
            "session.status": self._tell_status,
        }

    def _receive(self, text: str) -> None:
        try:
            message = read_message(text)
        except MessageRefusedError as refused:
            self._send_answer(refused.raw_id, refused.error.status, "error", refused.error.payload, limits=[])
            return
        served = self._served(message.method)
        if served is None:
            error = ApiError("invalid_method")
            self._send_answer(message.raw_id, error.status, "error", error.payload, limits=[])
            return
        operation, own = served
        pending = begin(self.world, self._request(message, operation), None if own is None else (operation, own))
        self._after(
            pending.delay_s,
            pending.barrier,
            lambda: self._finish_request(message, pending),
        )

    def _served(self, method: str) -> tuple[Operation, Handler | None] | None:
        """The operation behind a method, and its handler where it is one of the connection's own."""
        rules = table("ws_api.toml")
        if method in rules["methods"]:
            return operation_named(rules["methods"][method]), None
        if method in self._handlers:
            tables = {**table("operations.toml"), **rules}
            return compiled(method, rules["session"][method], tables), self._handlers[method]
        if method in rules["later"]["methods"]:
            return refused_operation(f"WS {method}", rules["later"]["weight"]), self._list_subscriptions
        return None

    def _request(self, message: ApiMessage, operation: Operation) -> Request:
        """The request as the checks of the REST API read it: the key in a header, the rest in the query."""
        headers = {"x-mbx-time-unit": "MICROSECOND"} if self.in_microseconds else {}
        without = {_RATE_LIMITS}
        if operation.needs_key and "apiKey" in message.parameters:
            headers["x-mbx-apikey"] = message.parameters["apiKey"]
            without.add("apiKey")
        return Request(
            method=operation.method,
            path=operation.path,
            query=message.query(without=frozenset(without)),
            headers=headers,
            address=self.address,
            signed_text=message.signed_text,
        )

    def _after(self, delay_s: float, barrier: str, step: Callable[[], None]) -> None:
        """Takes the step once the delay has passed by the world's clock and the barrier is open."""
        if delay_s:
            self._late.append((self.world.clock.now_us() + int(delay_s * SECOND), step))
        elif barrier:
            self.world.barriers.wait(barrier, step)
        else:
            step()

    def _pass_time(self, now_us: int) -> None:
        due = [step for due_us, step in self._late if due_us <= now_us]
        self._late = [late for late in self._late if late[0] > now_us]
        for step in due:
            step()

    def _finish_request(self, message: ApiMessage, pending: Pending) -> None:
        answer = pending.finish()
        fault = answer.fault
        if fault is None:
            self._answer(message, pending, answer)
        elif fault.kind in _BREAKS:
            self._finish(Abort())
        elif fault.kind is None:
            self._after(fault.delay_s, fault.barrier, lambda: self._answer(message, pending, answer))
        # What remains hangs: no answer comes.

    def _answer(self, message: ApiMessage, pending: Pending, answer: Answer) -> None:
        limits = self._limits(message, pending.entry.account)
        if answer.status == 200:
            self._send_answer(message.raw_id, 200, "result", msgspec.Raw(answer.body), limits=limits)
        else:
            error = _error_of(answer, self.world.clock.now_us())
            self._send_answer(message.raw_id, answer.status, "error", error, limits=limits)
        if answer.status == 418:
            self.close("banned")

    def _limits(self, message: ApiMessage, account: str) -> list[Any]:
        """The counts that the answer tells; none where the request or the URL does not want them."""
        wanted = message.parameters.get(_RATE_LIMITS)
        if not self._tells_limits if wanted is None else wanted != "true":
            return []
        limits, now_us = self.world.limits, self.world.clock.now_us()
        counts = limits.weight_counts(self.address, now_us)
        if account and message.method in table("ws_api.toml")["limits"]["tell_orders"]:
            counts = limits.order_counts(account, now_us) + counts
        return told_counts(counts)

    def _send_answer(self, raw_id: str, status: int, name: str, content: Any, *, limits: list[Any]) -> None:
        told = {"id": msgspec.Raw(raw_id.encode()), "status": status, name: content}
        if limits:
            told["rateLimits"] = limits
        self._send(encoded(told))
        self.wake()

    def _hear_event(self, event: Event) -> None:
        for number, account in self._subscriptions.items():
            payload = user_payload(event, account, self.time, self.world.now_us())
            if payload is not None:
                self._send_user_event(number, account, payload)

    def _send_user_event(self, number: int, account: str, payload: dict[str, Any]) -> None:
        self._send_event(USER_DATA, encoded({"subscriptionId": number, "event": payload}), account)

    def _subscribe(self, call: Call) -> Any:
        """userDataStream.subscribe.signature: one subscription for each account."""
        rules, account = table("ws_api.toml")["limits"], call.account.name
        if account in self._subscriptions.values():
            raise ApiError("subscription_active")
        if len(self._subscriptions) >= rules["max_subscriptions"]:
            raise ApiError("too_many_subscriptions", rules["max_subscriptions"])
        if self._next_id >= rules["max_subscription_ids"]:
            raise ApiError("subscription_ids_used_up")
        number, self._next_id = self._next_id, self._next_id + 1
        self._subscriptions[number] = account
        self._tell_subscribed(USER_DATA, account)
        return {"subscriptionId": number}

    def _unsubscribe(self, call: Call) -> Any:
        """userDataStream.unsubscribe: one subscription, or all."""
        wanted = call.given("subscriptionId")
        if wanted is not None and wanted not in self._subscriptions:
            raise ApiError("subscription_inactive")
        for number in list(self._subscriptions) if wanted is None else [wanted]:
            account = self._subscriptions.pop(number)
            ended = {"e": "eventStreamTerminated", "E": self.time(self.world.now_us())}
            self._send_user_event(number, account, ended)
        return {}

    def _list_subscriptions(self, call: Call) -> Any:
        """session.subscriptions."""
        return [{"subscriptionId": number} for number in self._subscriptions]

    def _tell_status(self, call: Call) -> Any:
        """session.status: nobody is logged on, because that is not supported."""
        return {
            "apiKey": None,
            "authorizedSince": None,
            "connectedSince": self.time(self.opened_us),
            "returnRateLimits": self._tells_limits,
            "serverTime": call.time(call.now_us),
            "userDataStream": bool(self._subscriptions),
        }


def _error_of(answer: Answer, now_us: int) -> dict[str, Any]:
    """The `error` of an answer that is no result; a page of HTML is told as an unknown error."""
    try:
        error = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return ApiError("unknown").payload
    wait_s = next((value for name, value in answer.headers if name == "Retry-After"), None)
    # The two halves of a cancel-replace stay what they are.
    if wait_s is not None and "data" not in error:
        now_ms = now_us // MS
        error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + int(wait_s) * 1000}
    return error
