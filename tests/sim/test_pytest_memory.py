"""What was there before the first test is out of the garbage collector's way."""

import gc
import sys

import pytest


def test_imported_modules_are_no_garbage_of_a_run() -> None:
    watched = {id(one) for one in gc.get_objects()}

    assert id(sys.modules["sim.pytest_memory"].__dict__) not in watched
    assert id(pytest.__dict__) not in watched


def test_what_a_test_makes_is_still_collected() -> None:
    made: list[object] = []
    made.append(made)

    assert any(one is made for one in gc.get_objects())
