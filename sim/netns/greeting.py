"""What a client says first, and whom it takes us for: TLS, HTTP, PostgreSQL, SSH. Pure.

Only names are kept: no path, no header but Host, no password, for these may hold secrets.
"""

import re
import ssl
import struct
from dataclasses import dataclass

MAX_BYTES = 16 * 1024
"""What is heard of one client: a TLS hello has at most so much."""

_TLS_HANDSHAKE = 0x16
_SSH = b"SSH-"
_HTTP = re.compile(rb"([A-Z]{3,16}) (\S+) HTTP/1\.[01]\r?\n")
_HTTP_HOST = re.compile(rb"\r?\nhost:[ \t]*([^\r\n]*)", re.IGNORECASE)
_HTTP2 = b"PRI * HTTP/2.0\r\n"
_BEGINS_LIKE_HTTP = re.compile(rb"[A-Z]{1,16}( |$)")

_POSTGRES_ASKS = frozenset({80877103, 80877104})  # may we speak TLS, may we speak GSS: protocol.html#…-SSL, -GSSAPI
_POSTGRES_CANCEL = 80877102
_POSTGRES_MAJOR = 3
_NO = b"N"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was understood so far.

    `said` is a sentence's part for people, `name` the host that the client named in it. `reply` is what to send so that
    it goes on, and `used` how many bytes are done with then. Once `is_all`, nothing further is waited for.
    """

    said: str | None = None
    name: str | None = None
    reply: bytes = b""
    used: int = 0
    is_all: bool = False


MORE = Heard()
"""Not enough has come yet."""


def listen(content: bytes) -> Heard:
    """What the first bytes of a connection say."""
    if not content:
        return MORE
    if content[0] == _TLS_HANDSHAKE:
        return _tls(content)
    if content.startswith(_HTTP2):
        return Heard(said="HTTP/2", is_all=True)
    if _BEGINS_LIKE_HTTP.match(content):
        return _http(content)
    if content.startswith(_SSH):
        return Heard(said="SSH", is_all=True)
    if content[0] == 0:
        return _postgres(content)
    return Heard(said=f"{len(content)} bytes of no known protocol", is_all=True)


def _tls(content: bytes) -> Heard:
    """The library's own parser reads the hello; it is stopped where it tells the name."""
    names: list[str | None] = []

    def stop(_connection: object, name: str | None, _context: object) -> int:
        names.append(name)
        return ssl.ALERT_DESCRIPTION_ACCESS_DENIED

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = stop
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(content)
    try:
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return MORE
    except ssl.SSLError:
        pass
    if not names:
        return Heard(said="TLS that is malformed", is_all=True)
    name = names[0]
    return Heard(said=f"TLS for {name}" if name else "TLS without a name", name=name, is_all=True)


def _http(content: bytes) -> Heard:
    if b"\n\r\n" not in content and b"\n\n" not in content:
        return MORE
    asked = _HTTP.match(content)
    if asked is None:
        return Heard(said="text of no known protocol", is_all=True)
    method, target = asked[1].decode(), asked[2]
    host = _HTTP_HOST.search(content, asked.end() - 2)
    # A proxy is told the host in the first line: CONNECT host:port, GET http://host/…
    through_proxy = target if method == "CONNECT" else re.sub(rb"^[a-z]+://([^/?#]*).*", rb"\1", target)
    found = through_proxy if not through_proxy.startswith(b"/") else host[1] if host else b""
    name = _host_alone(found)
    return Heard(said=f"HTTP {method} for {name}" if name else f"HTTP {method}", name=name, is_all=True)


def _host_alone(text: bytes) -> str | None:
    """The host of `user@host:port`, in lower case."""
    host = text.rpartition(b"@")[2].strip().decode("ascii", "backslashreplace").lower()
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[") or None
    return host.partition(":")[0] or None


def _postgres(content: bytes) -> Heard:
    if len(content) < 8:
        return MORE
    length, code = struct.unpack_from("!II", content)
    if code in _POSTGRES_ASKS and length == 8:
        return Heard(reply=_NO, used=8)
    if code == _POSTGRES_CANCEL:
        return Heard(said="PostgreSQL, cancels a query", is_all=True)
    if code >> 16 != _POSTGRES_MAJOR or length > MAX_BYTES:
        return Heard(said=f"{len(content)} bytes of no known protocol", is_all=True)
    if len(content) < length:
        return MORE
    words = content[8:length].split(b"\0")
    settings = dict(zip(words[::2], words[1::2], strict=False))
    told = [
        f"{word} {settings[word.encode()].decode('utf-8', 'backslashreplace')}"
        for word in ("user", "database")
        if word.encode() in settings
    ]
    return Heard(said=", ".join(["PostgreSQL", *told]), is_all=True)
