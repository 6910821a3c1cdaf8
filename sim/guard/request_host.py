"""Layer `request_host`: each request as the library is about to send it, redirects and absolute URLs included.

It reads what the library made of a URL, where `base_url` reads the text: what fools one parser meets the other.
"""

import httpx

from sim.guard.hosts import is_allowed
from sim.guard.refusal import Layer, refusal, shown


def problem(url: httpx.URL) -> str | None:
    """Why no request may go to `url`, or None. The host is compared as it goes on the wire (IDNA, no closing dot)."""
    host = url.raw_host.decode("ascii").strip("[]").lower().rstrip(".")
    if is_allowed(url.scheme, host, url.port):
        return None
    return f"expected a request to a testnet or loopback host, found {shown(f'{url.scheme}://{host}:{url.port}')}"


class GuardedTransport(httpx.HTTPTransport):
    """An HTTP transport that refuses foreign requests, and uses no proxy."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response. Raises: `GuardRefused` (`guard/request_host`), recorded; nothing was sent then."""
        why = problem(request.url)
        if why is not None:
            raise refusal(Layer.REQUEST_HOST, why)
        return super().handle_request(request)
