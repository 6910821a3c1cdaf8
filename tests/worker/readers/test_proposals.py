"""A risk proposal's file: read whole, or told what is wrong with it and where."""

import json
import os
from uuid import UUID

import pytest

from tests.worker.contracts.proposal_cases import example_proposal
from worker.contracts.errors import Reason
from worker.contracts.proposal_document import proposal_document
from worker.readers.document import DamagedFile, UnreadableFile
from worker.readers.home import Home
from worker.readers.proposals import read_proposal

EXAMPLE = example_proposal()
DOCUMENT = proposal_document(EXAMPLE)
CONTENT = json.dumps(DOCUMENT).encode()


def put(home: Home, content: bytes) -> None:
    home.risk_proposals.mkdir(parents=True)
    home.risk_proposal(EXAMPLE.proposal_id).write_bytes(content)


def test_proposal_with_a_file_is_read(home: Home) -> None:
    put(home, CONTENT)

    assert read_proposal(home, EXAMPLE.proposal_id) == EXAMPLE


def test_proposal_without_a_file_is_none(home: Home) -> None:
    put(home, CONTENT)

    assert read_proposal(home, UUID(int=2)) is None
    assert read_proposal(Home(home.root / "elsewhere"), EXAMPLE.proposal_id) is None


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1 column 1"),
        (CONTENT[:-1], f"line 1 column {len(CONTENT)}"),
        (CONTENT[: CONTENT.index(b"intent")], f"line 1 column {CONTENT.index(b'intent')}"),
        (b"\xff" + CONTENT, "byte 0"),
        (b"[]", "$"),
        (CONTENT.replace(b'"asset": "ETH"', b'"asset": "ETH", "asset": "BTC"'), "$"),
        (CONTENT.replace(b'"schema_version": 1', b'"schema_version": 2'), "$.schema_version"),
        (CONTENT.replace(b'"schema_version": 1, ', b""), "$.schema_version"),
        (CONTENT.replace(b'"asset": "ETH", ', b""), "$"),
        (CONTENT.replace(b'"overall_score": "0.72"', b'"overall_score": 0.72'), "$.confidence.overall_score"),
        (CONTENT.replace(b'"risk_pct": "0.0012"', b'"risk_pct": "-1"'), "$.variants[1].risk_pct"),
        (CONTENT.replace(b'"2026-05-12T09:15:00Z"', b'"2026-05-12T09:75:00Z"'), "$.expires_at"),
        (json.dumps(proposal_document(example_proposal(2))).encode(), "$.proposal_id"),
    ],
    ids=[
        "empty",
        "last byte gone",
        "truncated",
        "not UTF-8",
        "not an object",
        "a field twice",
        "version unknown",
        "version missing",
        "field missing",
        "a float",
        "negative",
        "no such time",
        "another proposal",
    ],
)
def test_file_that_is_not_the_proposal_is_damage_with_path_and_place(home: Home, content: bytes, place: str) -> None:
    put(home, content)

    with pytest.raises(DamagedFile) as caught:
        read_proposal(home, EXAMPLE.proposal_id)

    assert (caught.value.reason, caught.value.path, caught.value.place) == (
        Reason.DAMAGED_FILE,
        home.risk_proposal(EXAMPLE.proposal_id),
        place,
    )


def test_folder_or_pipe_in_the_place_of_the_file_is_damage(home: Home) -> None:
    home.risk_proposal(UUID(int=1)).mkdir(parents=True)
    os.mkfifo(home.risk_proposal(UUID(int=2)))

    for number in (1, 2):
        with pytest.raises(DamagedFile) as caught:
            read_proposal(home, UUID(int=number))
        assert caught.value.path == home.risk_proposal(UUID(int=number))


def test_file_in_the_place_of_the_folder_is_unreadable(home: Home) -> None:
    home.state.mkdir()
    home.risk_proposals.write_bytes(b"")

    with pytest.raises(UnreadableFile):
        read_proposal(home, EXAMPLE.proposal_id)
