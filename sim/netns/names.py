"""The tiny DNS of the namespace: every name has an address of its own there, so that an address tells the name again.

Pure. Source: RFC 1035, 3596 (AAAA); the addresses are those set aside for measurements (RFC 2544, 5180).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

from sim.netns.packets import Address

HOME_IPV4, HOME_IPV6 = IPv4Address("198.18.0.1"), IPv6Address("2001:2::1")
"""The addresses from which the namespace speaks to what it takes for the world."""
RESOLVER_IPV4 = IPv4Address("198.18.0.53")
PORT = 53

_NAMED_IPV4, _NAMED_IPV6 = int(IPv4Address("198.19.0.0")), int(IPv6Address("2001:2:0:1::"))
_MAX_NAMES = 0xFFFF  # of the IPv4 block; beyond it the last address stands for every further name

_A, _PTR, _AAAA, _IN = 1, 12, 28, 1
_HEAD = struct.Struct("!6H")
_MAX_LABELS = 128
_NO_SUCH_NAME = 3
_POINTER_TO_THE_QUESTION = b"\xc0\x0c"
_TTL_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a resolver asks. `name` is in lower case without a closing dot, `raw` the question as it was sent."""

    identity: int
    name: str
    kind: int
    raw: bytes


def read_question(message: bytes) -> Question | None:
    """The first question of a DNS message, or None: an answer, no question, or no DNS at all."""
    if len(message) < _HEAD.size:
        return None
    identity, flags, questions, *_ = _HEAD.unpack_from(message)
    if flags & 0x8000 or questions < 1:
        return None
    labels, place = [], _HEAD.size
    for _ in range(_MAX_LABELS):
        length = message[place] if place < len(message) else 0xFF
        if length > 63 or place + 1 + length > len(message):
            return None
        if length == 0:
            break
        labels.append(message[place + 1 : place + 1 + length])
        place += 1 + length
    end = place + 5
    if end > len(message) or message[place] != 0:
        return None
    name = ".".join(label.decode("ascii", "backslashreplace") for label in labels).lower()
    kind = int.from_bytes(message[place + 1 : place + 3])
    return Question(identity=identity, name=name, kind=kind, raw=message[_HEAD.size : end])


def read_hosts_file(text: str) -> dict[Address, str]:
    """The first name of each address in the text of a hosts file; a line that is none is passed over."""
    found: dict[Address, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        address = _address(words[0]) if len(words) > 1 else None
        if address is not None:
            found.setdefault(address, words[1])
    return found


class NameBook:
    """Which name has which address. `hosts` are fixed ones, `local` the names of this machine itself: loopback."""

    def __init__(self, *, hosts: Mapping[Address, str], local: Iterable[str]) -> None:
        self._hosts = dict(hosts)
        self._local = {"localhost", *(name.lower() for name in local)}
        self._numbers: dict[str, int] = {}

    def is_local(self, name: str) -> bool:
        """Whether the name is one of this machine, forward or reverse."""
        address = _reversed_address(name)
        return name in self._local or name.endswith(".localhost") or (address is not None and address.is_loopback)

    def name_of(self, address: Address) -> str | None:
        """The name that led to `address`, or None where nobody asked for one."""
        known = self._hosts.get(address)
        if known is not None:
            return known
        number = int(address) - (_NAMED_IPV4 if isinstance(address, IPv4Address) else _NAMED_IPV6)
        if 1 <= number <= len(self._numbers):
            return next(islice(self._numbers, number - 1, None))
        return None

    def answer(self, question: Question) -> bytes:
        """The DNS message that answers. A and AAAA have one address each, PTR the name, all else nothing."""
        content, code = self._content(question)
        answers = 1 if content else 0
        head = _HEAD.pack(question.identity, 0x8180 | code, 1, answers, 0, 0)
        if not content:
            return head + question.raw
        fixed = struct.pack("!HHIH", question.kind, _IN, _TTL_S, len(content))
        return head + question.raw + _POINTER_TO_THE_QUESTION + fixed + content

    def _content(self, question: Question) -> tuple[bytes, int]:
        if question.kind == _PTR:
            address = _reversed_address(question.name)
            name = self._reverse_name(address) if address is not None else None
            return (_wire_name(name), 0) if name is not None else (b"", _NO_SUCH_NAME)
        if question.kind not in (_A, _AAAA):
            return b"", 0
        if self.is_local(question.name):
            return IPv4Address("127.0.0.1").packed if question.kind == _A else IPv6Address("::1").packed, 0
        number = self._number_of(question.name)
        if question.kind == _A:
            return IPv4Address(_NAMED_IPV4 + number).packed, 0
        return IPv6Address(_NAMED_IPV6 + number).packed, 0

    def _reverse_name(self, address: Address) -> str | None:
        return "localhost" if address.is_loopback else self.name_of(address)

    def _number_of(self, name: str) -> int:
        if name not in self._numbers and len(self._numbers) >= _MAX_NAMES:
            return _MAX_NAMES
        return self._numbers.setdefault(name, len(self._numbers) + 1)


def _reversed_address(name: str) -> Address | None:
    """The address that a PTR name stands for."""
    labels = name.split(".")
    if name.endswith(".in-addr.arpa"):
        return _address(".".join(reversed(labels[:-2])))
    if name.endswith(".ip6.arpa") and len(labels) == 34:
        digits = "".join(reversed(labels[:-2]))
        return _address(":".join(digits[at : at + 4] for at in range(0, 32, 4)))
    return None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _wire_name(name: str) -> bytes:
    labels = [label.encode("ascii", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
