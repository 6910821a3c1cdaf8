"""Layer `client_settings`: an HTTP client that verifies its server, follows no redirect, and takes nothing from its
environment: no proxy, no further authority.

Source: contract §9; exchange facts §4 matrices C, D and F.
"""

import os
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx

from sim.guard.refusal import GuardRefused, Layer, refusal, shown

_REDIRECTS: Final = (301, 302, 303, 307, 308)
PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


def problem(response: httpx.Response) -> str | None:
    """Why the answer may not be acted upon, or None: an answer that sends the client elsewhere is refused."""
    return redirect_problem(response.status_code, response.headers.get("location"))


def redirect_problem(status: int, location: str | None) -> str | None:
    """Why an answer of that status and Location header may not be acted upon, or None."""
    if location is None or status not in _REDIRECTS:
        return None
    return f"expected an answer, found {status} that leads to {shown(location)}"


def proxies(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `environment` that would send a client through a proxy."""
    return tuple(name for name in sorted(environment) if name.lower() in PROXY_VARIABLES and environment[name])


def settings(authorities: Path | None = None) -> dict[str, Any]:
    """Keyword arguments of `httpx.Client`. `authorities` is a PEM file to trust instead of the public ones.

    Raises: `GuardRefused` (`guard/client_settings`) where a proxy is set.
    """
    found = proxies(os.environ)
    if found:
        raise refusal(Layer.CLIENT_SETTINGS, f"expected no proxy, found {', '.join(found)} set; unset them")
    return {
        "follow_redirects": False,
        "trust_env": False,
        "verify": verifying(authorities),
        "event_hooks": {"response": [_refuse]},
    }


def verifying(authorities: Path | None) -> ssl.SSLContext:
    """TLS that demands a certificate of the host it meant, from an authority it was told, and records any other."""
    return public_context() if authorities is None else _judging(ssl.create_default_context(cafile=str(authorities)))


@cache
def public_context() -> ssl.SSLContext:
    """The TLS of all clients of this process that trust the public authorities; reading those is slow."""
    return _judging(httpx.create_ssl_context(verify=True, trust_env=False))


def _judging(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some Pythons leave it to the machine
    context.sslsocket_class = _JudgedSocket
    return context


def certificate_refused(host: str | None, error: Exception) -> GuardRefused:
    """The error to raise for a certificate that proves nothing, recorded."""
    found = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
    return refusal(Layer.CLIENT_SETTINGS, f"expected a certificate of {shown(host)}, found one refused: {found}")


class _JudgedSocket(ssl.SSLSocket):
    """Puts a certificate that was refused on record; without this it would be one network error among many."""

    def do_handshake(self, block: bool = False) -> None:
        """Raises: `GuardRefused` (`guard/client_settings`), recorded, for a certificate that proves nothing."""
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as error:
            self.close()  # whoever called does so for network errors alone
            raise certificate_refused(self.server_hostname, error) from error


def _refuse(response: httpx.Response) -> None:
    why = problem(response)
    if why is not None:
        raise refusal(Layer.CLIENT_SETTINGS, why)
