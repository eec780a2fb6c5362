"""Reading whole lists from the services' HTTP API, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

PAGE_LIMIT = 200
"""What the services allow at most."""

Item = dict[str, Any]


async def pages(client: httpx.AsyncClient, path: str, **query: str) -> AsyncIterator[Item]:
    """Answers of a list, one a page, to its end.

    Raises:
        httpx.HTTPStatusError: a page was refused.
    """
    cursor: Mapping[str, str] = {}
    while True:
        response = await client.get(path, params={**query, "limit": str(PAGE_LIMIT), **cursor})
        response.raise_for_status()
        page: Item = response.json()
        yield page
        if not page.get("next"):
            return
        cursor = {"cursor": page["next"]}


async def items(client: httpx.AsyncClient, path: str, **query: str) -> list[Item]:
    """All items of a list."""
    return [item async for page in pages(client, path, **query) for item in page["items"]]
