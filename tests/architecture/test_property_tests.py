"""Property tests are judged by what they find and never by how long an example takes."""

from hypothesis import settings


def test_no_property_test_has_a_deadline_unless_it_says_so() -> None:
    assert settings().deadline is None
