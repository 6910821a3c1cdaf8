"""Layer `client_settings`: an HTTP client that verifies its server, follows no redirect, and takes nothing from its
environment: no proxy, no further authority, no file to write the keys of its sessions to.

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
_LEADING: Final = ("location", "uri")
"""The headers in which libraries look for the place that a redirect leads to."""
PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


def problem(response: httpx.Response) -> str | None:
    """Why the answer may not be acted upon, or None: an answer that sends the client elsewhere is refused."""
    return redirect_problem(response.status_code, response.headers)


def redirect_problem(status: int, headers: Mapping[str, str]) -> str | None:
    """Why an answer of that status may not be acted upon, or None. `headers` are read without case.

    The status decides: where a redirect leads, each library reads in a header of its own choice (aiohttp in URI, too).
    """
    if status not in _REDIRECTS:
        return None
    told = next((headers[name] for name in _LEADING if headers.get(name)), None)
    return f"expected an answer, found {status} that leads " + ("nowhere" if told is None else f"to {shown(told)}")


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
    # Python takes it from SSLKEYLOGFILE: whoever has that file reads every API key and signature off the wire.
    context.keylog_filename = None  # type: ignore[assignment]  # typeshed knows only how it is set
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
