"""Cursor pages: every list that can grow is read in pages, by a cursor that stays right while the list changes."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, ClassVar, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from shared.kernel.errors import Fault, Kind, ServiceError

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
"""Items of a page: about 200 kB of JSON, a few milliseconds to make."""

T = TypeVar("T")


class CursorInvalid(ServiceError):
    """The cursor is not one that this list gave."""

    code: ClassVar[str] = "cursor-invalid"
    kind: ClassVar[Kind] = "invalid"


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is absent on the last."""

    items: list[T]
    next: Annotated[str | None, Field(description="Give it as `cursor` for the next page.")] = None


Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most items of this page.")]
Cursor = Annotated[str | None, Query(max_length=300, description="`next` of the page before; absent for the first.")]


def encode_cursor(list_name: str, last: str) -> str:
    """A cursor that says: after the item whose sort key is `last`, in this list."""
    return base64.urlsafe_b64encode(f"{list_name}\n{last}".encode()).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str | None) -> str | None:
    """The sort key in a cursor, or `None` for the first page.

    Raises:
        CursorInvalid: not a cursor, or one of another list.
    """
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    name, _, last = text.partition("\n")
    if name != list_name or not last:
        raise CursorInvalid("not a cursor of this list", Fault("cursor", "`next` of an earlier page of the same list"))
    return last
