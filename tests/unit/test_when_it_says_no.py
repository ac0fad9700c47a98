"""docs/when_it_says_no.md is what the tests say, and tests check what they say."""

import warnings

import pytest
from says import PAGE, Says, make_page, messages_of


def test_the_page_is_that_of_the_tests():
    told = "docs/when_it_says_no.md is not what the tests say: python tests/says.py"
    assert PAGE.read_text(encoding="utf-8") == make_page(), told


def test_a_message_is_held_against_what_is_raised_warned_or_printed():
    says = Says("no box ... (5)", do="Nothing.")
    with says.refuses():
        raise ValueError("There is no box of a\nperson (5).")
    with says.warns():
        warnings.warn("no box (5)", stacklevel=1)
    assert says.is_in("... no box, 5 or (5)")
    assert not says.is_in("no box 5")
    with pytest.raises(AssertionError), says.refuses():
        raise ValueError("no box")


def test_messages_are_collected_from_tests_and_must_be_literal(tmp_path):
    path = tmp_path / "tests" / "unit" / "metrics" / "test_this.py"
    path.parent.mkdir(parents=True)
    path.write_text('with Says("No | a", do="Ask.").refuses():\n    pass\n')
    assert messages_of(path) == [("No | a", "Ask.")]
    page = make_page(tmp_path)
    assert "## Measuring\n\n| it says | what to do |\n|---|---|\n" in page
    assert "| `No \\| a` | Ask. |" in page
    path.write_text('text = "No"\nSays(text, do="Ask.")\n')
    with pytest.raises(ValueError, match=r"test_this\.py, line 2: Says takes a string"):
        messages_of(path)
