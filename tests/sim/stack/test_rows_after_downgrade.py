"""Rows of a stack whose release was taken back: tables that are gone hold none, and the rest is read as ever."""

import psycopg
import pytest

from sim.stack.rows import TABLES
from sim.stack.stack import Stack


def test_dropped_tables_hold_no_rows(stack: Stack) -> None:
    whole = stack.rows.dumps(TABLES)
    stack.migration.take_down_to("0001")

    assert stack.rows.dump("managed_proposals") == []
    assert stack.rows.dumps(TABLES) == {**whole, "managed_proposals": [], "managed_assets_history": []}
    assert whole["users"] != []
    stack.migration.upgrade()


def test_table_that_nobody_knows_is_no_dropped_one(stack: Stack) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        stack.rows.dump("comands")
