"""Cursors lead on from where a page ended, and only in the list that gave them."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.pages import CursorInvalid, decode_cursor, encode_cursor

lists = st.from_regex(r"[a-z]{1,12}", fullmatch=True)
keys = st.text(min_size=1)


@given(lists, keys)
def test_a_cursor_says_where_the_page_ended(name: str, last: str) -> None:
    cursor = encode_cursor(name, last)
    assert decode_cursor(name, cursor) == last
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor), "it goes into a URL as it is"


def test_the_first_page_has_none() -> None:
    assert decode_cursor("posts", None) is None


@given(lists, lists, keys)
def test_a_cursor_of_another_list_is_refused(name: str, other: str, last: str) -> None:
    if name != other:
        with pytest.raises(CursorInvalid):
            decode_cursor(other, encode_cursor(name, last))


@given(st.text(max_size=40))
def test_anything_else_is_refused_or_is_a_cursor(text: str) -> None:
    refused: CursorInvalid | None = None
    last: str | None = None
    try:
        last = decode_cursor("posts", text)
    except CursorInvalid as error:
        refused = error
    assert bool(last) != bool(refused)
    if refused:
        assert [fault.field for fault in refused.faults] == ["cursor"]
        assert not refused.retryable


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "====",
        "王小妹",
        base64.urlsafe_b64encode(b"posts").decode(),
        base64.urlsafe_b64encode(b"posts\n").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "A" * 300,
    ],
)
def test_what_is_no_cursor(cursor: str) -> None:
    with pytest.raises(CursorInvalid) as refused:
        decode_cursor("posts", cursor)
    assert not cursor or cursor not in str(refused.value)
