"""Steps, choices and tokens are texts that are read back as they were."""

import pytest

from sim.errors import SimError
from sim.schedule.choice import Choice, Kind, Option, Schedule, in_order
from sim.schedule.step import Ordinals, Step, read_statement, read_step
from sim.schedule.token import Token, read_token, scenario_mark

STEPS = [
    (Step("day", "insert", "commands"), "day:insert:commands"),
    (Step("day", "insert", "commands", 2), "day:insert:commands:2"),
    (Step("w1", "replace", "state/managed_state.json"), "w1:replace:state/managed_state.json"),
    (Step("day", "commit", ""), "day:commit"),
    (Step("day", "commit", "", 2), "day:commit::2"),
    (Step("day of rest", "open", "a:b,c=d"), "day%20of%20rest:open:a%3Ab%2Cc%3Dd"),
]


@pytest.mark.parametrize(("step", "text"), STEPS, ids=[text for _, text in STEPS])
def test_step_is_read_as_it_was_written(step: Step, text: str) -> None:
    assert (str(step), read_step(text)) == (text, step)


def test_token_is_read_as_it_was_written() -> None:
    kinds = list(Kind)
    choices = tuple(
        Choice(step, Option("night", kind), due)
        for (step, _), kind, due in zip(STEPS, kinds, kinds[::-1], strict=False)
    )
    token = Token(scenario_mark("test_x.py::test_y[1]"), Schedule(choices))

    assert read_token(str(token)) == token


@pytest.mark.parametrize(
    "text", ["", "abc", "abcdef,day", "abcdef,day:insert=", "abcdef,day:insert=night+jump", "abcdef,=x"]
)
def test_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(SimError) as failed:
        read_token(text)

    assert failed.value.code == "schedule/malformed_token"


def test_steps_of_one_name_are_numbered() -> None:
    ordinals = Ordinals("day")

    assert [ordinals.next("select", "users").ordinal for _ in range(3)] == [1, 2, 3]
    assert ordinals.next("select", "commands").ordinal == 1


def test_whoever_moved_last_is_the_default() -> None:
    options = [Option("a"), Option("b", Kind.WAKE), Option("b", Kind.KILL)]

    assert in_order(options, "b") == [options[1], options[0], options[2]]
    assert in_order(options, None) == options


@pytest.mark.parametrize(
    ("text", "verb", "target", "only_reads"),
    [
        ("SELECT id FROM commands WHERE status = 'x'", "select", "commands", True),
        ("select now() AS now_1", "select", "now", True),
        ("SELECT count(*) FROM users", "select", "users", True),
        ("SELECT v FROM t FOR UPDATE SKIP LOCKED", "select-for-update", "t", False),
        ("SELECT pg_notify('a', 'b')", "select", "pg_notify", False),
        ("SELECT nextval('s')", "select", "nextval", False),
        ('INSERT INTO public."commands" (a) VALUES (1)', "insert", "commands", False),
        ("/* why */ UPDATE ONLY commands SET a = 1", "update", "commands", False),
        ("WITH x AS (SELECT 1) UPDATE commands SET a = 1", "update", "commands", False),
        ("DELETE FROM commands", "delete", "commands", False),
        ("BEGIN; UPDATE t SET v = 1", "begin", "", False),
        ("ROLLBACK TO SAVEPOINT s", "rollback", "s", False),
        ("ROLLBACK", "rollback", "", False),
        ("START TRANSACTION", "begin", "", False),
        ("LOCK TABLE commands", "lock", "commands", False),
    ],
)
def test_statement_says_how_its_step_is_called(text: str, verb: str, target: str, only_reads: bool) -> None:
    said = read_statement(text)

    assert (said.verb, said.target, said.only_reads) == (verb, target, only_reads)


@pytest.mark.parametrize(
    ("text", "shows_in_rows"),
    [
        ("UPDATE commands SET status = 'x', decided_at = now() WHERE id = 1", True),
        ("INSERT INTO commands (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = 3", True),
        ("DELETE FROM commands WHERE id IN (SELECT id FROM other)", True),
        ("SELECT v FROM t ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", True),
        ("UPDATE commands SET a = nextval('s')", False),
        ("UPDATE commands SET a = 1 WHERE pg_advisory_xact_lock(1) IS NULL", False),
        ("UPDATE commands SET a = 1; SELECT 1", False),
        ("SAVEPOINT s", False),
    ],
)
def test_statement_says_whether_its_rows_tell_all_that_it_did(text: str, shows_in_rows: bool) -> None:
    assert read_statement(text).shows_in_rows is shows_in_rows


@pytest.mark.parametrize(
    ("text", "changes_schema"),
    [
        ("CREATE TABLE t (id int)", True),
        ("create unique index i on t (v)", True),
        ("ALTER TABLE t ADD COLUMN v int", True),
        ("BEGIN; DROP TABLE t", True),
        ("CREATE TEMP TABLE t (id int)", False),
        ("UPDATE t SET v = 'drop table t'", False),
        ("LOCK TABLE t", False),
    ],
)
def test_statement_says_whether_it_changes_the_schema(text: str, changes_schema: bool) -> None:
    assert read_statement(text).changes_schema is changes_schema
