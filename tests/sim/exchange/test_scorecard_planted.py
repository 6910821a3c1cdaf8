"""Each difference that the scorecard is for, planted in a copy of the double: the row must turn red, and say why."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sim

SOURCE = Path(sim.__file__).parent if sim.__file__ else Path(next(iter(sim.__path__)))


@dataclass(frozen=True)
class Planted:
    """One edit below `sim/exchange`, the row and the column that must tell it, and words of what is told."""

    file: str
    old: str
    new: str
    row: str
    column: str
    words: str


PLANTED = [
    Planted(
        "order_payloads.py",
        '        "isWorking": order.is_working,\n',
        "",
        "order_query",
        "shape",
        "answer.isWorking: is missing",
    ),
    Planted(
        "order_payloads.py",
        '"time": time(order.time_us)',
        '"time": str(time(order.time_us))',
        "order.status",
        "shape",
        "answer.time: expected integer, found str",
    ),
    Planted(
        "order_payloads.py",
        '"time": time(order.time_us)',
        '"time": str(time(order.time_us))',
        "order.status",
        "models",
        "OrderStatusResponse cannot read it",
    ),
    Planted(
        "public_reads.py",
        '        "mins": _AVERAGE_MINUTES,\n',
        '        "mins": _AVERAGE_MINUTES,\n        "hours": 0,\n',
        "average_price",
        "models",
        "AvgPriceResponse does not know hours",
    ),
    Planted(
        "account_reads.py",
        '        "accountType": "SPOT",\n',
        "",
        "account",
        "shape",
        "answer.accountType: is missing",
    ),
    Planted(
        "tables/errors.toml",
        'text = "Invalid interval."',
        'text = "Invalid interval"',
        "klines",
        "errors",
        "invalid_interval of klines: expected -1120 Invalid interval., found 400 -1120 Invalid interval",
    ),
    Planted(
        "tables/errors.toml",
        "code = -1121",
        "code = -1122",
        "depth",
        "errors",
        "invalid_symbol of depth: expected -1121",
    ),
    Planted(
        "tables/errors.toml",
        "[banned]\nstatus = 418",
        "[banned]\nstatus = 429",
        "ping",
        "errors",
        "banned of ping: the status 429",
    ),
    Planted(
        "tables/engine_messages.toml",
        'unknown_order = "Unknown order sent."',
        'unknown_order = "Unknown order."',
        "order_cancel",
        "errors",
        "expected -2011 Unknown order sent., found 400 -2011 Unknown order.",
    ),
    Planted(
        "filters.py",
        "return bool(parts(request.quantity, request.iceberg_quantity) <= rule",
        "return bool(parts(request.quantity, request.iceberg_quantity) < rule",
        "order_place",
        "filters",
        "ICEBERG_PARTS: expected it to let the order pass",
    ),
    Planted(
        "filters.py",
        "return len(open_orders) < int(rule",
        "return len(open_orders) <= int(rule",
        "order_test",
        "filters",
        "MAX_NUM_ORDERS: expected it to refuse",
    ),
    Planted(
        "streams/feeds.py",
        '            "t": trade.trade_id,\n',
        '            "t": str(trade.trade_id),\n',
        "<symbol>@trade",
        "shape",
        "answer.t: expected integer, found str",
    ),
    Planted(
        "streams/user_events.py",
        '        "r": "NONE",\n',
        "",
        "executionReport",
        "shape",
        "NEW: answer.r: is missing",
    ),
    Planted(
        "streams/api_session.py",
        '"status": status, name: content}',
        'name: content, "status": status}',
        "time",
        "shape",
        "expected id, status, result, rateLimits; found id, result, status, rateLimits",
    ),
    Planted(
        "tables/streams.toml",
        'msg = "Unknown property"',
        'msg = "No such property"',
        "SUBSCRIBE",
        "errors",
        "unknown_property: expected 0 Unknown property",
    ),
    Planted(
        "cancel_replace.py",
        'exceeded if call.given("cancelReplaceMode") == "STOP_ON_FAILURE" else None',
        "exceeded",
        "order_cancel_replace",
        "shape",
        "too many orders, ALLOW_FAILURE: expected the status 409, found 429",
    ),
]


def card(home: Path, row: str) -> tuple[int, list[Any]]:
    """Exit code and rows of the command, run on the sources in that folder."""
    command = [sys.executable, "-m", "sim.cli", "exchange", "scorecard", "--json", "--only", row]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=110, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("planted")
    shutil.copytree(SOURCE, home / "sim", ignore=shutil.ignore_patterns("__pycache__", "scenarios"))
    return home


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: f"{each.file}-{each.row}-{each.column}")
def test_planted_difference_turns_its_cell_red(copied: Path, planted: Planted) -> None:
    path = copied / "sim" / "exchange" / planted.file
    clean = path.read_text(encoding="utf-8")
    assert clean.count(planted.old) == 1

    path.write_text(clean.replace(planted.old, planted.new), encoding="utf-8")
    try:
        code, rows = card(copied, planted.row)
    finally:
        path.write_text(clean, encoding="utf-8")

    problems = [problem for row in rows for problem in row[planted.column]["problems"]]
    assert code == 1
    assert any(planted.words in problem for problem in problems), problems


def test_copy_without_an_edit_is_exact(copied: Path) -> None:
    code, rows = card(copied, "order_query")

    assert code == 0
    assert [row["exact"] for row in rows] == [True]
