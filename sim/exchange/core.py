"""The core: a world and a request go in, an answer comes out. No transport, no framework, no clock but the world's.

    answer = handle(world, Request.of("GET", "/api/v3/ping"))

A transport that can wait calls `begin` first, waits as the `Pending` says, and then `finish`.
"""

from functools import cache
from typing import Any, Final

import msgspec

from sim.exchange.amounts import exactly
from sim.exchange.call import Call
from sim.exchange.checks import checks_in_order
from sim.exchange.clock import MS
from sim.exchange.distortion import distorted, refused_by_fault
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.operations import Operation, known_paths, operations
from sim.exchange.parameters import merged_pairs
from sim.exchange.refusals import ApiError
from sim.exchange.registry import HANDLERS, Handler
from sim.exchange.request_log import LogEntry
from sim.exchange.tables import table
from sim.exchange.wire import Answer, Request
from sim.exchange.world import World

MAX_QUERY_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 65_536

_encode = msgspec.json.Encoder().encode


def handle(world: World, request: Request) -> Answer:
    """The answer, for transports that do not wait."""
    return begin(world, request).finish()


def begin(world: World, request: Request, own: tuple[Operation, Handler] | None = None) -> "Pending":
    """Notes the request and what will go wrong with it; nothing is carried out before `finish`.

    `own` is an operation that only the asking connection has, and its handler.
    """
    sent_key = request.headers.get("x-mbx-apikey")
    key = None if sent_key is None else world.keys.get(sent_key)
    account = "" if key is None else key.account
    faults = world.faults
    fault = faults.take(request.method, request.path, account) if faults.any_armed else None
    entry = world.requests.open(request, account, world.clock.now_us())
    pending = Pending(world, request, fault, entry, sent_key, own)
    if fault is not None:
        entry.fault = fault.name or fault.kind
        if not fault.after_commit:
            pending.delay_s = fault.seconds if fault.kind is FaultKind.DELAY else 0.0
            pending.barrier = fault.barrier if fault.kind is FaultKind.HOLD else ""
    return pending


def too_large(world: World, request: Request) -> Answer:
    """The answer to a request whose body, or target, a transport did not even want to read; give it without."""
    return begin(world, request).refuse(ApiError("request_too_large"))


class Pending(msgspec.Struct, eq=False):
    """A request that has come in. Before `finish`, `delay_s` shall pass and the barrier `barrier` be open."""

    world: World
    request: Request
    fault: Fault | None
    entry: LogEntry
    sent_key: str | None
    own: tuple[Operation, Handler] | None = None
    delay_s: float = 0.0
    barrier: str = ""

    def refuse(self, error: ApiError) -> Answer:
        """Answers with that error and carries nothing out."""
        return self._noted(self._refusal(error, []), error.code)

    def finish(self) -> Answer:
        """Carries the request out, as far as its fault lets it, and returns the answer."""
        fault = self.fault
        if fault is not None and not fault.needs_answer:
            early = refused_by_fault(fault)
            if isinstance(early, ApiError):
                return self.refuse(early)
            if early is not None:
                return self._noted(early, 0)
            if fault.kind is FaultKind.WIPE:
                self.world.wipe()
            if fault.kind is FaultKind.BAN:
                self.world.limits.ban(self.request.address, self.world.clock.now_us(), int(fault.seconds))
        answer, code = exactly(self._carried_out)
        if fault is not None and fault.needs_answer:
            if fault.kind is FaultKind.WIPE:
                self.world.wipe()
            late = refused_by_fault(fault)
            if isinstance(late, ApiError):
                answer, code = self._refusal(late, []), late.code
            else:
                answer = late if late is not None else distorted(fault, answer)
        return self._noted(answer, code)

    def _noted(self, answer: Answer, code: int) -> Answer:
        self.entry.status, self.entry.code = answer.status, code
        return answer

    def _carried_out(self) -> tuple[Answer, int]:
        """The answer, and the API's error code or 0."""
        world, request = self.world, self.request
        world.catch_up()
        operation = operations().get((request.method, request.path)) if self.own is None else self.own[0]
        if operation is None:
            return _page(405 if request.path in known_paths() else 404), 0
        call = self._call(operation)
        headers: list[tuple[str, str]] = []
        try:
            if len(request.query) > MAX_QUERY_BYTES or len(request.body) > MAX_BODY_BYTES:
                raise ApiError("request_too_large")
            call.sent = merged_pairs(request.method, request.query, request.body_text if request.body else "")
            for check in checks_in_order():
                check(call)
            handler = HANDLERS[operation.name] if self.own is None else self.own[1]
            payload = handler(call)
        except ApiError as error:
            now_us = world.clock.now_us()
            if operation.free and error.kind not in {"banned", "weight_exceeded"}:
                world.limits.charge(request.address, now_us, operation.weight(call.sent))
            return self._refusal(error, world.limits.weight_headers(request.address, now_us)), error.code
        finally:
            self.entry.committed = call.committed
        now_us = world.clock.now_us()
        headers = world.limits.weight_headers(request.address, now_us)
        if call.tells_order_counts:
            headers += world.limits.order_headers(call.account.name, now_us)
        return self._answer(200, payload, headers), 0

    def _call(self, operation: Operation) -> Call:
        now_us = self.world.clock.now_us()
        call = Call(
            world=self.world,
            request=self.request,
            now_us=now_us,
            arrived_us=now_us,
            operation=operation,
            sent_key=self.sent_key,
        )
        if self.fault is not None:
            if self.fault.kind is FaultKind.SKEW:
                call.now_us += self.fault.skew_ms * MS
            elif self.fault.kind is FaultKind.STALE:
                call.lag_us = self.fault.lag_ms * MS
            elif self.fault.kind is FaultKind.SLOW_ENGINE:
                call.engine_lag_us = self.fault.lag_ms * MS
        return call

    def _refusal(self, error: ApiError, headers: list[tuple[str, str]]) -> Answer:
        sent = [*_refused_headers(), *headers]
        if error.retry_after_s is not None:
            sent.append(("Retry-After", str(error.retry_after_s)))
        return self._answer(error.status, error.payload, sent)

    def _answer(self, status: int, payload: Any, headers: list[tuple[str, str]]) -> Answer:
        own = [("x-mbx-uuid", self.world.new_uuid()), *headers]
        return Answer(status=status, own_headers=own, body=_encode(payload), shared_headers=_fixed_headers())


@cache
def _fixed_headers() -> tuple[tuple[str, str], ...]:
    given = table("world.toml")["headers"]
    return (("Content-Type", given["content_type"]), *((name, value) for name, value in given["fixed"]))


@cache
def _refused_headers() -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in table("world.toml")["headers"]["refused"])


_TITLES: Final = {404: "404 Not Found", 405: "405 Not Allowed"}


def _page(status: int) -> Answer:
    """What the web server in front of the API says of a path, or a method, that is not there."""
    title = _TITLES[status]
    body = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1>\r\n</body>\r\n</html>\r\n"
    return Answer(status=status, own_headers=[("Content-Type", "text/html"), ("Server", "nginx")], body=body.encode())
