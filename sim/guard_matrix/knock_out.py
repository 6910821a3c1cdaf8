"""Puts exactly the layers asked for in force in this process, and makes the others say yes to everything."""

import os
from collections.abc import Set as AbstractSet
from typing import Any

import httpx

import sim.fake_bot.settings
import worker.settings
from sim.guard import base_url, client_settings, python_sockets, request_host
from sim.guard.refusal import Layer, refusal
from sim.guard_matrix import kernel
from worker.guards.network import testnet_flag_problem


def put_in_force(layers: AbstractSet[Layer], *, port: int) -> None:
    """Effects: for the rest of this process. `port` is the one TCP port that the kernel leaves open."""
    if Layer.FLAG in layers:
        _record_the_worker()
    else:
        setattr(sim.fake_bot.settings, "_require_testnet", lambda *_: None)  # noqa: B010 - knocked out on purpose
        setattr(worker.settings, "testnet_flag_problem", _yes)  # noqa: B010
        setattr(worker.settings, "env_file_problem", lambda *_: None)  # noqa: B010
    if Layer.BASE_URL not in layers:
        base_url.problem = _yes
    if Layer.CLIENT_SETTINGS not in layers:
        client_settings.settings = _careless
    if Layer.REQUEST_HOST not in layers:
        setattr(request_host, "GuardedTransport", lambda **_: None)  # noqa: B010 - httpx then makes its own
    if Layer.PYTHON_SOCKETS in layers:
        python_sockets.put_in_force()
    if Layer.KERNEL in layers:
        kernel.put_in_force([port])


def _yes(url: object) -> str | None:
    """No problem, whatever it is."""
    del url
    return None


def _careless() -> dict[str, Any]:
    """What a client has whose author thought of nothing: it takes the proxy that it finds, whatever its transport."""
    proxy = next((os.environ[name] for name in client_settings.proxies(os.environ)), None)
    trust = httpx.create_ssl_context(verify=False)
    return {"follow_redirects": True, "trust_env": True, "verify": trust, "proxy": proxy}


def _record_the_worker() -> None:
    """The worker keeps its refusals in its log; here they are kept where those of the other layers are."""
    judge = testnet_flag_problem

    def recorded(value: str | None) -> str | None:
        why = judge(value)
        if why is not None:
            refusal(Layer.FLAG, why)
        return why

    setattr(worker.settings, "testnet_flag_problem", recorded)  # noqa: B010
