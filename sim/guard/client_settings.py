"""Layer `client_settings`: an HTTP client that follows no redirect, and takes no proxy from its environment.

Source: contract §9; exchange facts §4 matrices C and D.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

import httpx

from sim.guard.refusal import Layer, refusal, shown

PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


def problem(response: httpx.Response) -> str | None:
    """Why the answer may not be acted upon, or None: an answer that sends the client elsewhere is refused."""
    if not response.has_redirect_location:
        return None
    return f"expected an answer, found {response.status_code} that leads to {shown(response.headers['location'])}"


def proxies(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `environment` that would send a client through a proxy."""
    return tuple(name for name in sorted(environment) if name.lower() in PROXY_VARIABLES and environment[name])


def settings() -> dict[str, Any]:
    """Keyword arguments of `httpx.Client`. Raises: `GuardRefused` (`guard/client_settings`) where a proxy is set."""
    found = proxies(os.environ)
    if found:
        raise refusal(Layer.CLIENT_SETTINGS, f"expected no proxy, found {', '.join(found)} set; unset them")
    return {"follow_redirects": False, "trust_env": False, "verify": True, "event_hooks": {"response": [_refuse]}}


def _refuse(response: httpx.Response) -> None:
    why = problem(response)
    if why is not None:
        raise refusal(Layer.CLIENT_SETTINGS, why)
