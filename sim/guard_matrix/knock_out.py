"""Puts exactly the layers asked for in force in this process, and makes the others say yes to everything."""

import os
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import httpx

import sim.fake_bot.__main__
import sim.fake_bot.settings
import worker.settings
from sim.guard import base_url, client_settings, exchange_socket, peer_address, python_sockets, request_host
from sim.guard.refusal import Layer, refusal
from sim.guard_matrix import kernel, knock_out_bus


def put_in_force(layers: AbstractSet[Layer], *, ports: Sequence[int]) -> None:
    """Effects: for the rest of this process. `ports` are the TCP ports that the kernel leaves open.

    The database and the double are not of this process: whoever plays gives it the guarded ones, or the careless.
    """
    if Layer.FLAG in layers:
        _record_the_worker()
    else:
        setattr(sim.fake_bot.settings, "_require_testnet", _yes)  # noqa: B010 - knocked out on purpose
        setattr(worker.settings, "testnet_flag_problem", _yes)  # noqa: B010
        setattr(worker.settings, "env_file_problems", lambda *_: [])  # noqa: B010
    if Layer.DATABASE_ADDRESS in layers:
        _recorded("database_address_problems", lambda found: found, Layer.DATABASE_ADDRESS)
    else:
        setattr(sim.fake_bot.settings, "database_address_problems", lambda _: [])  # noqa: B010
        setattr(worker.settings, "database_address_problems", lambda _: [])  # noqa: B010
    if Layer.PAPER not in layers:
        setattr(sim.fake_bot.__main__, "_require_paper", _yes)  # noqa: B010
    knock_out_bus.put_in_force(layers)
    if Layer.BASE_URL not in layers:
        base_url.problem = _yes
    if Layer.CLIENT_SETTINGS not in layers:
        client_settings.settings = _careless
    if Layer.REQUEST_HOST not in layers:
        setattr(request_host, "GuardedTransport", _yes)  # noqa: B010 - httpx then makes its own
        exchange_socket.require_as_read = _yes
    if Layer.PEER_ADDRESS not in layers:
        peer_address.problem = _yes
    if Layer.PYTHON_SOCKETS in layers:
        python_sockets.put_in_force()
    if Layer.KERNEL in layers:
        kernel.put_in_force(ports)


def _yes(*judged: object, **named: object) -> None:
    """No problem, whatever it is."""
    del judged, named


def _careless(authorities: object = None) -> dict[str, Any]:
    """What a client has whose author thought of nothing: it takes the proxy that it finds, whatever its transport."""
    del authorities
    proxy = next((os.environ[name] for name in client_settings.proxies(os.environ)), None)
    trust = httpx.create_ssl_context(verify=False)
    return {"follow_redirects": True, "trust_env": True, "verify": trust, "proxy": proxy}


def _record_the_worker() -> None:
    """The worker keeps its refusals in its log; here they are kept where those of the other layers are."""
    _recorded("testnet_flag_problem", lambda found: [] if found is None else [found])
    _recorded("env_file_problems", lambda found: found)


def _recorded(name: str, problems_in: Callable[[Any], Sequence[str]], layer: Layer = Layer.FLAG) -> None:
    judge = getattr(worker.settings, name)

    def recorded(*judged: object) -> object:
        found = judge(*judged)
        for problem in problems_in(found):
            refusal(layer, problem)
        return found

    setattr(worker.settings, name, recorded)
