"""What counts as a mutant that was looked at: an entry of the list, and nothing else."""

import tomllib

import pytest

from tests.mutants.survivors import Mutant, listed, mutant_of, not_listed

DIFF = """--- worker/guards/limits.py
+++ worker/guards/limits.py
@@ -1,3 +1,3 @@
 def digits(text):
-    return text.strip("0")
+    return text.strip("XX0XX")
"""


def changed(was: str, became: str) -> Mutant:
    return Mutant(function="guards.limits.x_digits", was=was, became=became)


def test_mutant_is_named_by_its_function_and_its_lines() -> None:
    mutant = mutant_of("worker.guards.limits.x_digits__mutmut_12", DIFF)
    assert mutant == changed('return text.strip("0")', 'return text.strip("XX0XX")')


def test_survivor_is_new_until_it_is_listed() -> None:
    known = next(iter(listed()))
    unknown = changed("a + b", "a - b")
    assert not_listed([known, unknown]) == [unknown]


@pytest.mark.parametrize("became", ['"XXtoo long by farXX"', '"TOO LONG BY FAR"'])
def test_survivor_that_changes_only_letters_of_a_sentence_is_new_as_any_other(became: str) -> None:
    mutant = changed('refuse("too long by far", at)', f"refuse({became}, at)")
    assert not_listed([mutant]) == [mutant]


def test_every_listed_mutant_has_a_reason() -> None:
    assert [mutant for mutant, reason in listed().items() if not reason] == []


@pytest.mark.parametrize("line", ["a", "say('a')", 'say("a")', "say('a', \"b\\n\")", "a\nb\tc"], ids=repr)
def test_entry_that_is_printed_can_be_read_back(line: str) -> None:
    mutant = changed(line, f"{line} + 1")
    (entry,) = tomllib.loads(f"entries = [\n{mutant.told()}\n]")["entries"]
    assert entry == [mutant.function, mutant.was, mutant.became]
