"""Layer `request_host`: each request as the library is about to send it, redirects and absolute URLs included.

It reads what the library made of a URL, where `base_url` reads the text: what fools one parser meets the other. Nothing
is sent over a TLS session that verified nobody, whatever settings it was made with.
"""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from sim.guard.hosts import is_allowed
from sim.guard.refusal import Layer, refusal, shown

_ENCRYPTED = "connection.start_tls.complete"


def problem(url: httpx.URL, header: str | None = None) -> str | None:
    """Why no request may go to `url`, or None. The host is compared as it goes on the wire (IDNA, no closing dot).

    `header` is the request's Host, which must name the same host; None where the library makes it of the URL.
    """
    host = _plain(url)
    if not is_allowed(url.scheme, host, url.port):
        return f"expected a request to a testnet or loopback host, found {shown(f'{url.scheme}://{host}:{url.port}')}"
    if header is not None and header.lower() not in (host, f"[{host}]", url.netloc.decode("ascii").lower()):
        return f"expected a request for {shown(host)}, found the Host header {shown(header)}"
    return None


def target_problem(request: httpx.Request) -> str | None:
    """Why `request` asks a server on the way for another one, as a proxy is asked, or None."""
    if request.method == "CONNECT":
        return "expected a request of the exchange, found CONNECT, which asks for a way to another host"
    target = request.extensions.get("target", request.url.raw_path)
    if target != request.url.raw_path:
        told = target.decode("latin-1") if isinstance(target, bytes) else target
        return f"expected the target of the request's own URL, found {shown(told)}"
    return None


def session_problem(session: ssl.SSLSocket | ssl.SSLObject, url: httpx.URL) -> str | None:
    """Why nothing may be sent to `url` over a TLS session, or None for one that verified the host of `url`."""
    context = session.context
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        return f"expected a verified session with {shown(_plain(url))}, found one that verified nobody"
    if session.server_hostname != _plain(url):
        return f"expected a session with {shown(_plain(url))}, found one with {shown(session.server_hostname)}"
    return None


class GuardedTransport(httpx.HTTPTransport):
    """An HTTP transport that refuses foreign requests and unverified sessions, and uses no proxy."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response. Raises: `GuardRefused` (`guard/request_host`), recorded; nothing was sent then."""
        why = problem(request.url, request.headers.get("host")) or target_problem(request)
        if why is not None:
            raise refusal(Layer.REQUEST_HOST, why)

        earlier = request.extensions.get("trace")

        def judge_session(event: str, told: Mapping[str, Any]) -> None:
            if earlier is not None:
                earlier(event, told)
            if event == _ENCRYPTED:
                stream = told["return_value"]
                unverified = session_problem(stream.get_extra_info("ssl_object"), request.url)
                if unverified is not None:
                    stream.close()
                    raise refusal(Layer.REQUEST_HOST, unverified)

        request.extensions["trace"] = judge_session
        return super().handle_request(request)


def _plain(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").strip("[]").lower().rstrip(".")
