"""One set of strings in another: what is found is true, and nothing is overlooked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mamapost.contracts.languages import NotRegular, Strings, missing, some
from tests.unit.contracts.schema_values import PATTERNS

_atoms = st.sampled_from(["a", "b", "[ab]", "[a-c]", "[0-9]", "-"])
_counts = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{1,}"])
_parts = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, _counts).map(lambda two: f"({two[0]}){two[1]}"),
    ),
    max_leaves=5,
)
_patterns = st.builds("{}({}){}".format, st.sampled_from(["^", ""]), _parts, st.sampled_from(["$", ""]))
_sets = st.builds(Strings, _patterns | st.none(), st.integers(0, 4), st.none() | st.integers(0, 4))


def contains(strings: Strings, text: str) -> bool:
    pattern = re.sub(r"\$$", r"\\Z", strings.pattern or "")
    return bool(re.search(pattern, text)) and strings.fits(len(text))


@settings(max_examples=300)
@given(_sets, _sets, st.lists(st.text("abc0-", max_size=6), max_size=20))
def test_what_is_missing_is_missing_and_if_nothing_is_all_are_there(
    one: Strings, other: Strings, texts: list[str]
) -> None:
    found = missing(one, other, 5)
    for text in found:
        assert contains(one, text)
        assert not contains(other, text)
    if not found:
        assert [text for text in texts if contains(one, text) and not contains(other, text)] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_set_holds_itself_and_its_strings_match(pattern: str) -> None:
    assert missing(Strings(pattern), Strings(pattern)) == []
    strings = some(Strings(pattern, 0, 6), 10)
    assert strings
    assert all(contains(Strings(pattern), text) for text in strings)


def test_the_shortest_string_is_found() -> None:
    slug = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
    assert missing(Strings(slug, 0, 40), Strings(slug, 0, 39)) == ["a" + "0" * 39]
    assert missing(Strings(slug, 0, 39), Strings(slug, 0, 40)) == []
    assert missing(Strings("^[a-z]{2,4}-x$"), Strings("^[a-z]{2,3}-x$")) == ["aaaa-x"]
    assert some(Strings("^a{3}$", 0, 2), 1) == []


@pytest.mark.parametrize(
    "pattern", ["^a|b$", r"\d", ".", "[^a]", "(?=a)", "(?P<n>a)", "a{", "(a", "a++", "a*?", "[b-a]", "a)", "["]
)
def test_nothing_is_claimed_of_what_is_not_read(pattern: str) -> None:
    with pytest.raises(NotRegular):
        missing(Strings(pattern), Strings("^a$"))
