"""A session on an aiohttp WebSocket: frames are carried between the two, and nothing is decided here."""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from sim.exchange.streams.frames import Abort, Close, Frame, Ping, Text
from sim.exchange.streams.session import Session

# How often a connection looks at the world's clock, in real time, when nothing wakes it.
TICK_S: Final = 0.05
# How long the client may take to answer a close frame.
CLOSE_S: Final = 1.0
MAX_MESSAGE_BYTES: Final = 1_048_576


async def serve_session(request: web.BaseRequest, session: Session) -> web.WebSocketResponse:
    """Carries frames until either side ends the connection; the session has ended then."""
    # The exchange's own pings and pongs go by the world's clock; aiohttp must add none.
    socket = web.WebSocketResponse(autoping=False, timeout=CLOSE_S, max_msg_size=MAX_MESSAGE_BYTES)
    woken = asyncio.Event()
    session.wake = woken.set
    try:
        await socket.prepare(request)
        writer = asyncio.create_task(_write(request, socket, session, woken))
        try:
            await _read(socket, session)
        finally:
            # A writer that has sent the last frame is about to return; one that has not has nobody to write to.
            if not session.is_over:
                writer.cancel()
            session.end()
            woken.set()
            # The client may have gone in the middle of a frame.
            with suppress(asyncio.CancelledError, ConnectionError):
                await writer
    finally:
        session.end()
    return socket


async def _read(socket: web.WebSocketResponse, session: Session) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            # What is due is told before the answer to a later question.
            session.tick()
            session.receive(message.data)
        elif message.type is WSMsgType.PING:
            session.receive_ping()
            await socket.pong(bytes(message.data))
        elif message.type is WSMsgType.PONG:
            session.receive_pong(bytes(message.data))


async def _write(
    request: web.BaseRequest, socket: web.WebSocketResponse, session: Session, woken: asyncio.Event
) -> None:
    while not session.is_over:
        woken.clear()
        session.tick()
        for frame in session.take():
            await _send(request, socket, frame)
        if not session.is_over:
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), TICK_S)
    for frame in session.take():
        await _send(request, socket, frame)


async def _send(request: web.BaseRequest, socket: web.WebSocketResponse, frame: Frame) -> None:
    match frame:
        case Text(text):
            await socket.send_str(text)
        case Ping(payload):
            await socket.ping(payload)
        case Close(code, reason):
            await socket.close(code=code, message=reason.encode())
        case Abort():
            if request.transport is not None:
                request.transport.abort()
