"""Both state files read as one thing, while somebody may be changing them."""

import itertools
from collections.abc import Iterator

import pytest

from tests.worker.writers.children import Children
from tests.worker.writers.homes import baseline_of, managed_state_of, put_next_pair, recover_home
from worker.contracts.errors import Reason
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.pair import ABSENT, Pair, PairReader, PairUnsettled, read_pair
from worker.writers.baseline import encode_baseline, encode_managed_state


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as running:
        yield running


def patient_reader(home: Home) -> PairReader:
    return PairReader(home, max_attempts=3, interval_s=0)


def kill_in_mid_change(home: Home, children: Children) -> None:
    """Effects: an intent stands, and the first file is new already."""
    steps = children.run("put_next_pair", home.root).steps
    put_back(home)
    renamed = next(position for position, step in enumerate(steps) if step.endswith("-> managed_state.json"))
    assert children.run("put_next_pair", home.root, kill_at=renamed + 1).was_killed


def read_until(generation: int, reader: PairReader, *, max_reads: int) -> Iterator[Pair]:
    """Every pair read before the one of `generation`."""
    return itertools.takewhile(
        lambda pair: pair.generation != generation, (reader.read().pair for _ in range(max_reads))
    )


def put_back(home: Home) -> None:
    home.baseline_holdings.write_bytes(encode_baseline(baseline_of(1)))
    home.managed_state.write_bytes(encode_managed_state(managed_state_of(1)))


def test_pair_before_the_first_baseline_is_absent(home: Home) -> None:
    assert patient_reader(home).read().pair == Pair(
        baseline=None, managed_state=None, baseline_sha256=ABSENT, managed_state_sha256=ABSENT
    )
    assert read_pair(home).generation == 0


def test_pair_of_one_generation_is_current(home: Home) -> None:
    pair = put_next_pair(home)

    reading = patient_reader(home).read()

    assert (reading.pair, reading.is_current) == (pair, True)


def test_standing_intent_is_unsettled_for_a_reader_that_knows_no_earlier_pair(home: Home, children: Children) -> None:
    put_next_pair(home)
    kill_in_mid_change(home, children)

    with pytest.raises(PairUnsettled) as caught:
        patient_reader(home).read()

    assert caught.value.reason is Reason.TWO_FILE_CONFLICT


def test_standing_intent_gives_the_last_good_pair_until_recovery(home: Home, children: Children) -> None:
    put_next_pair(home)
    reader = patient_reader(home)
    first = reader.read()
    kill_in_mid_change(home, children)
    meanwhile = reader.read()
    recover_home(home)
    after = reader.read()

    assert (meanwhile.pair, meanwhile.is_current) == (first.pair, False)
    assert (after.pair.generation, after.is_current) == (2, True)


def test_intent_over_two_old_files_counts_as_under_way(home: Home) -> None:
    put_next_pair(home)
    home.intent.write_text("{}")

    with pytest.raises(PairUnsettled):
        read_pair(home)


def test_files_of_two_generations_do_not_settle(home: Home) -> None:
    put_next_pair(home)
    home.managed_state.write_bytes(encode_managed_state(managed_state_of(2)))

    with pytest.raises(PairUnsettled):
        patient_reader(home).read()


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
def test_one_file_without_the_other_does_not_settle(home: Home, name: str) -> None:
    put_next_pair(home)
    (home.state / name).unlink()

    with pytest.raises(PairUnsettled):
        patient_reader(home).read()


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
def test_damaged_file_is_reported_even_by_a_reader_with_an_earlier_pair(home: Home, name: str) -> None:
    put_next_pair(home)
    reader = patient_reader(home)
    reader.read()
    (home.state / name).write_text("{")

    with pytest.raises(DamagedFile) as caught:
        reader.read()

    assert caught.value.path == home.state / name


def test_reader_beside_a_busy_writer_never_sees_two_halves(home: Home, children: Children) -> None:
    put_next_pair(home)
    reader = PairReader(home, max_attempts=50, interval_s=0)
    reader.read()

    children.start("put_fifty_pairs", home.root)
    pairs = list(read_until(51, reader, max_reads=100_000))
    assert children.wait().exit_code == 0

    generations = [pair.generation for pair in pairs]
    assert generations == sorted(generations)
    assert [pair for pair in pairs if pair.baseline != baseline_of(pair.generation)] == []
    assert [pair for pair in pairs if pair.managed_state != managed_state_of(pair.generation)] == []
    assert reader.read().pair.generation == 51


@pytest.mark.parametrize(("max_attempts", "interval_s"), [(0, 0.1), (1, -0.1)])
def test_reader_without_a_sensible_bound_is_refused(home: Home, max_attempts: int, interval_s: float) -> None:
    with pytest.raises(ValueError):
        PairReader(home, max_attempts=max_attempts, interval_s=interval_s)
