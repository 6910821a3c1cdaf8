"""Handlers of listen keys. They need an API key and no signature."""

from typing import Any

from sim.exchange.call import Call


def create(call: Call) -> Any:
    """POST userDataStream."""
    return {"listenKey": call.world.listen_keys.create(call.account.name, call.now_us)}


def keep(call: Call) -> Any:
    """PUT userDataStream."""
    call.world.listen_keys.keep(call.parameters["listenKey"], call.account.name, call.now_us)
    return {}


def close(call: Call) -> Any:
    """DELETE userDataStream."""
    call.world.listen_keys.close(call.parameters["listenKey"], call.account.name, call.now_us)
    return {}
