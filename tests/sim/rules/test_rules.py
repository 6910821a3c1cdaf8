"""Each rule speaks on the evidence it is for, and is silent on its clean twin."""

from collections.abc import Callable

import pytest

from sim.rules import general
from sim.rules.registry import RULES, judge, sentence
from sim.timeline import Timeline
from tests.sim.rules.exchange_cases import EXCHANGE_CASES
from tests.sim.rules.managed_cases import MANAGED_CASES
from tests.sim.rules.told import (
    BASELINE,
    DRY_REJECTED,
    DRY_STARTED,
    DRY_SUCCEEDED,
    EXPIRED,
    FAILED,
    GOOD_LOG,
    INTENT,
    MANAGED_STATE,
    STARTED,
    TORN,
    UNTOUCHED,
    WRITTEN,
    at_rest,
    audit,
    bot_at_end,
    command,
    failed_with,
    heartbeat,
    log,
    malformed,
    once_run,
    one,
    portfolio,
    two_clicks,
    with_trail,
)

SMALL_LOG = one("witness", "text.seen", "logs/bot.log", text="all is well")

# rule id, what breaks it, its clean twin
CASES: list[tuple[str, Callable[[Timeline], None], Callable[[Timeline], None]]] = [
    *MANAGED_CASES,
    *EXCHANGE_CASES,
    ("bot_pid_changes", heartbeat(101), heartbeat(100)),
    ("bot_pid_changes", bot_at_end([]), bot_at_end([100])),
    ("portfolio_drift_unexplained", portfolio(explained=False), portfolio()),
    # Rolled back to an older portfolio of the bot's own, or removed: the journal leads there, but not last.
    ("portfolio_drift_unexplained", portfolio(end_explained=False), portfolio()),
    ("portfolio_drift_unexplained", portfolio(before=None, after=None, end_explained=False), portfolio(after=None)),
    # Forged: a line of somebody else's process.
    ("portfolio_drift_unexplained", portfolio(journal_pids=[100, 101]), portfolio(journal_pids=[100])),
    (
        "portfolio_drift_unexplained",
        portfolio(
            touched_by_others=[
                {"actor": "worker:w1", "path": "logs/bot_journal.jsonl", "what": "file.open", "source": "a.py:1"}
            ]
        ),
        portfolio(),
    ),
    (
        "runtime_config_appears",
        one("worker:w1", "file.audited", "runtime_config.json", what="file.open", source="a.py:1"),
        one("worker:w1", "file.audited", "state/runtime_config.json", what="file.open", source="a.py:1"),
    ),
    (
        "env_file_changes",
        one("witness", "file.changed", ".env", what="content", before="x", after="y"),
        one("witness", "file.changed", ".env.example", what="content", before="x", after="y"),
    ),
    ("once_handled_more_than_one", once_run(2), once_run(1)),
    # Under another name than its own, or none.
    ("once_handled_more_than_one", once_run(1, worker_ids=[None]), once_run(1)),
    ("once_handled_more_than_one", once_run(1, worker_ids=["w1", "w2"]), once_run(2, argv="--max-iterations=2")),
    (
        "once_handled_more_than_one",
        once_run(1, worker_ids=["w1", "w2", "w3"]),
        once_run(1, worker_ids=["w1", "w2", "w3"], runs=["w1", "w2", "w3"]),
    ),
    (
        "unexpected_failure_reason",
        failed_with("io/damaged_file", []),
        failed_with("io/damaged_file", ["io/damaged_file"]),
    ),
    (
        "unexpected_failure_reason",
        failed_with("io/damaged_file", ["io/damaged_file", "conflict/lease_lost"]),
        failed_with("io/damaged_file", ["io/damaged_file"]),
    ),
    (
        "order_or_exchange_call_from_worker",
        one("worker:w1", "network.attempt", "api:443", allowed=False, what="network.connect", source="a.py:1"),
        one("worker:w1", "network.attempt", "db:5432", allowed=True, what="network.connect", source="a.py:1"),
    ),
    (
        "order_or_exchange_call_from_worker",
        one("worker:w1", "process.spawned", "curl", source="a.py:1"),
        one("scenario", "process.spawned", "curl", source="a.py:1"),
    ),
    (
        "mainnet_path_visible",
        one("witness", "text.seen", ".env", text="BASE=https://api.binance.com"),
        one("witness", "text.seen", ".env", text="BASE=https://testnet.binance.vision"),
    ),
    ("mainnet_path_visible", one("witness", "text.unread", "logs/bot.log", bytes=9_999_999), SMALL_LOG),
    (
        "mainnet_path_visible",
        one("witness", "output.read", "stdout of worker:w1", text="GET api.binance.com", cut_bytes=0),
        one("witness", "output.read", "stdout of worker:w1", text="GET testnet.binance.vision", cut_bytes=0),
    ),
    (
        "command_without_requested_event",
        with_trail(audit_events=[]),
        with_trail(),
    ),
    (
        "command_without_requested_event",
        with_trail(commands=[], command_audit_log=[]),
        with_trail(commands=[], command_audit_log=[], audit_events=[audit(command_id=None)]),
    ),
    (
        "illegal_status_move",
        with_trail(command_audit_log=log(STARTED, ("result_written", "claimed", "succeeded"))),
        with_trail(),
    ),
    (
        "illegal_status_move",
        with_trail(commands=[command(status="running")]),
        with_trail(),
    ),
    # Moves that left no row at all; a claim never does.
    ("illegal_status_move", with_trail(command_audit_log=[]), with_trail(**UNTOUCHED)),
    (
        "illegal_status_move",
        with_trail(command_audit_log=[], commands=[command(status="expired")]),
        with_trail(command_audit_log=log(EXPIRED), commands=[command(status="expired")]),
    ),
    (
        "illegal_status_move",
        with_trail(command_audit_log=[], commands=[command(status="cancelled")]),
        with_trail(command_audit_log=[], commands=[command(status="claimed")]),
    ),
    # No status, or one that there is not.
    ("illegal_status_move", with_trail(command_audit_log=log(("started", "claimed", None))), with_trail()),
    ("illegal_status_move", with_trail(command_audit_log=log(("started", "held", "running"))), with_trail()),
    ("illegal_status_move", with_trail(command_audit_log=[], commands=[command(status="done")]), with_trail()),
    (
        "dry_run_row_count",
        with_trail(command_audit_log=log(STARTED, DRY_SUCCEEDED, WRITTEN)),
        with_trail(),
    ),
    # A payload that is no JSON has no handler's rows; a stored config that is none has them all.
    ("dry_run_row_count", malformed(STARTED, DRY_STARTED, FAILED), malformed(STARTED, FAILED)),
    ("dry_run_row_count", malformed(STARTED), malformed(STARTED, DRY_STARTED, DRY_REJECTED, FAILED)),
    ("dry_run_row_count", with_trail(command_audit_log=log(STARTED, WRITTEN)), with_trail()),
    (
        "two_winners_for_one_decision",
        two_clicks("a", "b"),
        two_clicks("a", "a"),
    ),
    (
        "two_winners_for_one_decision",
        with_trail(command_audit_log=[*GOOD_LOG, *log(WRITTEN)]),
        with_trail(),
    ),
    ("two_winners_for_one_decision", with_trail(audit_events=[audit(), audit(id=2)]), with_trail()),
    ("cache_disagrees_with_files", at_rest(cache={}), at_rest()),
    ("cache_disagrees_with_files", at_rest(generations=[1, 2]), at_rest()),
    # A baseline file that is not there beside a managed state that is.
    ("cache_disagrees_with_files", at_rest(baseline={}, cache={}, generations=[0, 1]), at_rest()),
    # A command of another kind, or one that nobody has begun, does not excuse what is left of the files.
    (
        "cache_disagrees_with_files",
        at_rest(cache={}, commands=[command(status="running")]),
        at_rest(cache={}, commands=[command(command_type=BASELINE, status="running")]),
    ),
    (
        "cache_disagrees_with_files",
        at_rest(cache={}, commands=[command(command_type=BASELINE, status="pending", attempts=0)]),
        at_rest(cache={}, commands=[command(command_type=BASELINE, status="pending", attempts=1)]),
    ),
    ("cache_disagrees_with_files", at_rest(leftovers=[INTENT]), at_rest(leftovers=[INTENT], left=[INTENT])),
    (
        "cache_disagrees_with_files",
        at_rest(generations=[1, 2], commands=[command(command_type=BASELINE, status="running")]),
        at_rest(generations=[1, 2], leftovers=[INTENT], commands=[command(command_type=BASELINE, status="running")]),
    ),
    ("cache_disagrees_with_files", at_rest(**TORN), at_rest(**TORN, left=[MANAGED_STATE])),
    (
        "worker_left_running",
        one("witness", "processes.at_end", "processes", workers=["worker:w1"], bots=[]),
        one("witness", "processes.at_end", "processes", workers=[], bots=[]),
    ),
    (
        "service_writes_state_files",
        one("operator:day", "file.audited", "state/x.json", what="file.open", source="a.py:1"),
        one("worker:w1", "file.audited", "state/x.json", what="file.open", source="a.py:1"),
    ),
    (
        "service_starts_worker",
        one("operator:day", "process.spawned", "python", source="a.py:1"),
        one("scenario", "process.spawned", "python", source="a.py:1"),
    ),
    (
        "service_starts_worker",
        one("operator:day", "process.forked", "a copy of itself", source="a.py:1"),
        one("worker:w1", "process.forked", "a copy of itself", source="a.py:1"),
    ),
    (
        "service_starts_worker",
        one("operator:day", "thread.started", "Thread-1", source="a.py:1"),
        one("scenario", "thread.started", "Thread-1", source="a.py:1"),
    ),
    (
        "secret_in_the_trail",
        with_trail(audit_events=[audit(metadata={"dsn": "postgres://u:hunter2@db/x"})]),
        with_trail(),
    ),
    (
        "secret_in_the_trail",
        one("worker:w1", "process.ended", "7", exit_code=0, stderr="password=hunter2hunter2"),
        one("worker:w1", "process.ended", "7", exit_code=0, stderr="all is well"),
    ),
    (
        "secret_in_the_trail",
        one("witness", "output.read", "stderr of worker:w1", text="password=hunter2hunter2", cut_bytes=0),
        one("witness", "output.read", "stdout of bot", text='{"portfolio_sha256": "' + "a1" * 32 + '"}', cut_bytes=0),
    ),
    (
        "secret_in_the_trail",
        one("witness", "secret.seen", "logs/bot.log", sensor="text.seen"),
        SMALL_LOG,
    ),
]


@pytest.mark.parametrize("place", range(len(CASES)), ids=lambda place: f"{place}-{CASES[place][0]}")
def test_rule_speaks_on_its_evidence_and_is_silent_on_the_twin(place: int) -> None:
    rule, broken, clean = CASES[place]
    bad, good = Timeline(), Timeline()
    broken(bad)
    clean(good)

    assert [breach.rule for breach in RULES[rule](bad)] == [rule]
    assert list(RULES[rule](good)) == []


@pytest.mark.parametrize(
    ("rule", "path"), [("runtime_config_appears", "runtime_config.json"), ("env_file_changes", ".env")]
)
def test_each_who_touched_a_file_is_told(rule: str, path: str) -> None:
    timeline = Timeline()
    for actor, line in (("worker:w1", 1), ("worker:w2", 2), ("worker:w1", 3)):
        one(actor, "file.audited", path, what="file.open", source=f"a.py:{line}")(timeline)
    one("worker:w2", "file.changed", path, what="content", before="x", after="y")(timeline)

    found = RULES[rule](timeline)

    assert [breach.actor for breach in found] == ["worker:w1 at a.py:1", "worker:w2 at a.py:2"]
    assert {(breach.before, breach.after) for breach in found} == {("x", "y")}


def test_file_that_came_and_went_is_told_so() -> None:
    timeline = Timeline()
    one("worker:w1", "file.audited", "runtime_config.json", what="file.open", source="a.py:1")(timeline)
    one("worker:w1", "file.watched", "runtime_config.json", what="created, deleted", pid=None)(timeline)

    (breach,) = RULES["runtime_config_appears"](timeline)

    assert (breach.actor, breach.before, breach.after) == ("worker:w1 at a.py:1", "absent", "created and removed again")


def test_file_that_was_rewritten_and_put_back_is_told_as_what_was_seen() -> None:
    timeline = Timeline()
    one("worker:w1", "file.watched", ".env", what="closed-after-write, modified", pid=None)(timeline)

    (breach,) = RULES["env_file_changes"](timeline)

    assert (breach.actor, breach.before, breach.after) == ("worker:w1", "untouched", "closed-after-write, modified")


def test_production_host_is_put_down_to_those_who_wrote_the_text() -> None:
    timeline = Timeline()
    for actor in ("worker:w1", "worker:w2", "worker:w1"):
        one(actor, "file.audited", "runtime_config.json", what="file.open", source="a.py:1")(timeline)
    one("witness", "text.seen", "runtime_config.json", text="api.binance.com")(timeline)
    one("witness", "output.read", "stdout of worker:w3", text="api.binance.com", cut_bytes=0)(timeline)
    one("witness", "text.seen", "a row of commands", text="api.binance.com")(timeline)

    found = RULES["mainnet_path_visible"](timeline)

    assert [(breach.actor, breach.subject) for breach in found] == [
        ("worker:w1", "runtime_config.json"),
        ("worker:w2", "runtime_config.json"),
        ("worker:w3", "stdout of worker:w3"),
        ("witness", "a row of commands"),
    ]


@pytest.mark.parametrize(("checkout", "told"), [("/srv/tmp.TePte2szod/home/clone", 0), ("/srv/elsewhere", 1)])
def test_name_of_the_folder_of_the_program_is_no_secret(
    monkeypatch: pytest.MonkeyPatch, checkout: str, told: int
) -> None:
    monkeypatch.setattr(general, "_CHECKOUT", checkout)
    traceback = 'File "/srv/tmp.TePte2szod/home/clone/sim/schedule/hooks.py", line 30, in directed'
    timeline = Timeline()
    one("worker:w1", "process.ended", "7", exit_code=1, stderr=traceback)(timeline)

    assert len(general.secret_in_the_trail(timeline)) == told


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)


def test_nothing_happened_breaks_nothing() -> None:
    assert judge(Timeline()) == ()


def test_breaches_are_told_worst_rule_first() -> None:
    timeline = Timeline()
    one("operator:day", "process.spawned", "python", source="a.py:1")(timeline)
    one("witness", "text.seen", ".env", text="api.binance.com")(timeline)

    assert [breach.rule for breach in judge(timeline)] == ["mainnet_path_visible", "service_starts_worker"]


@pytest.mark.parametrize("rule", RULES)
def test_rule_says_in_one_sentence_what_it_demands(rule: str) -> None:
    assert sentence(rule).endswith(".")
    assert len(sentence(rule)) > 20
