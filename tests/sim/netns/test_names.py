"""The tiny DNS: each name has an address of its own, an address tells its name, and no message breaks it."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.netns.names import NameBook, Question, read_hosts_file, read_question

A, PTR, TXT, AAAA = 1, 12, 16, 28


def message(name: str, kind: int = A) -> bytes:
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    return bytes.fromhex("002a01000001000000000000") + wire + kind.to_bytes(2) + b"\0\1"


def question(name: str, kind: int = A) -> Question:
    found = read_question(message(name, kind))
    assert found is not None
    return found


def book() -> NameBook:
    return NameBook(hosts={ip_address("10.0.0.5"): "db.internal"}, local=("Machine",))


@pytest.mark.parametrize(
    ("sent", "name"), [("API.Binance.com.", "api.binance.com"), ("", ""), ("xn--3ve.example", "xn--3ve.example")]
)
def test_question_is_read_in_lower_case_without_the_closing_dot(sent: str, name: str) -> None:
    found = question(sent, AAAA)

    assert (found.identity, found.name, found.kind) == (42, name, AAAA)


@given(st.binary(max_size=300))
def test_no_message_breaks_the_reader(content: bytes) -> None:
    found = read_question(content)

    assert found is None or found.raw in content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        message("a.example")[:-1],
        message("a.example")[:2] + b"\x81\0" + message("a.example")[4:],  # an answer
        message("a.example")[:4] + b"\0\0" + message("a.example")[6:],  # no question
        message("a")[:12] + b"\xc0\x0c\0\1\0\1",  # a name that points at itself
        message("a")[:12] + b"\1a" * 200 + b"\0\0\1\0\1",  # more labels than a name may have
    ],
)
def test_message_without_a_whole_question_is_none(content: bytes) -> None:
    assert read_question(content) is None


def test_each_name_has_one_address_of_each_family_which_tell_it_again() -> None:
    names = book()
    first, again, second = (names.answer(question(name)) for name in ("a.example", "a.example", "b.example"))
    ipv6 = names.answer(question("b.example", AAAA))

    assert first == again
    assert IPv4Address(first[-4:]) != IPv4Address(second[-4:])
    assert names.name_of(IPv4Address(first[-4:])) == "a.example"
    assert names.name_of(IPv4Address(second[-4:])) == names.name_of(IPv6Address(ipv6[-16:])) == "b.example"


def test_answer_repeats_the_question_and_says_it_is_one() -> None:
    asked = question("a.example")
    answer = book().answer(asked)

    assert answer[:12] == bytes.fromhex("002a81800001000100000000")
    assert answer[12:].startswith(asked.raw)


def test_address_that_nobody_asked_for_has_no_name_but_in_the_hosts_file() -> None:
    names = book()

    assert names.name_of(ip_address("198.19.0.1")) is None
    assert names.name_of(ip_address("203.0.113.7")) is None
    assert names.name_of(ip_address("10.0.0.5")) == "db.internal"


@pytest.mark.parametrize(
    "name", ["localhost", "a.localhost", "machine", "1.0.0.127.in-addr.arpa", "1." + "0." * 31 + "ip6.arpa"]
)
def test_name_of_this_machine_is_local(name: str) -> None:
    assert book().is_local(name)


@pytest.mark.parametrize(
    "name", ["localhost.example", "notlocalhost", "machine.example", "8.8.8.8.in-addr.arpa", "ip6.arpa"]
)
def test_name_of_another_is_not(name: str) -> None:
    assert not book().is_local(name)


def test_local_names_lead_to_loopback_and_loopback_to_its_name() -> None:
    names = book()

    assert names.answer(question("machine"))[-4:] == socket.inet_aton("127.0.0.1")
    assert names.answer(question("localhost", AAAA))[-16:] == IPv6Address("::1").packed
    assert names.answer(question("1.0.0.127.in-addr.arpa", PTR)).endswith(b"\x09localhost\0")


def test_what_has_no_answer_is_empty_and_what_is_unknown_is_no_name() -> None:
    names = book()
    empty, unknown = names.answer(question("a.example", TXT)), names.answer(question("8.8.8.8.in-addr.arpa", PTR))

    assert (empty[3] & 15, int.from_bytes(empty[6:8])) == (0, 0)
    assert (unknown[3] & 15, int.from_bytes(unknown[6:8])) == (3, 0)


def test_more_names_than_addresses_share_the_last() -> None:
    names = book()
    answers = [names.answer(question(f"n{number}.example"))[-4:] for number in range(65_537)]

    assert len(set(answers)) == 65_535
    assert answers[-1] == answers[-2] == answers[65_534]


def test_hosts_file_is_read_with_its_comments_and_odd_lines() -> None:
    text = (
        "127.0.0.1 localhost\n# 1.1.1.1 no\n10.0.0.5\tdb.internal other # our own\n"
        "nonsense here\n10.0.0.6\n::1 localhost6\n"
    )

    assert {str(address): name for address, name in read_hosts_file(text).items()} == {
        "127.0.0.1": "localhost",
        "10.0.0.5": "db.internal",
        "::1": "localhost6",
    }
