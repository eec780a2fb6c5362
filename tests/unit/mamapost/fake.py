"""A service that does as it is told, and a network that loses what it is told to lose."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Body = dict[str, Any]


def id_of(key: str, row: int = 0) -> str:
    """The id that the service gives to what a command, or a row of an upload, makes."""
    return f"ent-{hashlib.sha256(f'{key} {row}'.encode()).hexdigest()[:32]}"


class FakeService:
    """Keeps the promise of the Idempotency-Key: the same key gets the first answer, and nothing is done twice.

    Attributes:
        done: each effect, as path and body, in order; what was done twice stands here twice.
        keys: keys with the body that they stand for.
        refuse: asked for every single body or row; answers a problem (code, fields, retryable), or `None`.
        entries: the ledger.
    """

    def __init__(self) -> None:
        self.done: list[tuple[str, Body]] = []
        self.keys: dict[str, bytes] = {}
        self.authorizations: set[str | None] = set()
        self.media_types: list[str] = []
        self.refuse: Callable[[str, Body], tuple[int, str, list[str], bool] | None] = lambda _path, _body: None
        self.entries: Callable[[], list[Body]] = list
        self._answers: dict[str, httpx.Response] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.authorizations.add(request.headers.get("authorization"))
        if request.method == "GET":
            return self._ledger(request)
        key = request.headers["idempotency-key"]
        if key in self._answers:
            assert self.keys[key] == request.content, "a key was used for another body"
            return self._answers[key]
        self.keys[key] = request.content
        self.media_types.append(request.headers["content-type"])
        response = self._bulk(request) if request.url.path.endswith("/bulk") else self._single(request)
        if response.is_success:
            self._answers[key] = response
        return response

    def _single(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        refusal = self.refuse(request.url.path, body)
        if refusal is not None:
            status, code, fields, retryable = refusal
            errors = [{"field": name, "expected": "better"} for name in fields]
            return httpx.Response(status, json={"code": code, "errors": errors, "retryable": retryable})
        return httpx.Response(201, json=self._accept(request, 0, body))

    def _bulk(self, request: httpx.Request) -> httpx.Response:
        text = request.content.decode()
        is_csv = request.headers["content-type"] == "text/csv"
        bodies: list[Body] = (
            list(csv.DictReader(io.StringIO(text))) if is_csv else [json.loads(line) for line in text.splitlines()]
        )
        rows: list[Body] = []
        for number, body in enumerate(bodies, 1):
            refusal = self.refuse(request.url.path, body)
            if refusal is None:
                rows.append({"row": number, **self._accept(request, number, body)})
            else:
                errors = [{"field": name, "expected": "better"} for name in refusal[2]]
                rows.append({"row": number, "code": refusal[1], "errors": errors})
        return httpx.Response(200, json={"accepted": 0, "rejected": 0, "rows": rows})

    def _accept(self, request: httpx.Request, row: int, body: Body) -> Body:
        """The effect, and an id that does not depend on the order of commands."""
        path = request.url.path
        self.done.append((path, body))
        number = len(self.done)
        topic = "shift-completed" if path.startswith("/shifts") else "thing-made"
        version = body.get("revision", 0) + 1
        entity = path.split("/")[2] if version > 1 else id_of(request.headers["idempotency-key"], row)
        return {
            "id": entity,
            "version": version,
            "topic": topic,
            "event_id": f"evt-{number}",
            "position": f"{topic}:{entity}:{version}",
        }

    def _ledger(self, request: httpx.Request) -> httpx.Response:
        """Pages of two entries; the cursor is the number of entries before the page."""
        city = request.url.params.get("city")
        entries = [entry for entry in self.entries() if city is None or entry.get("city", city) == city]
        start = int(request.url.params.get("cursor", "0"))
        more = len(entries) > start + 2
        page: Body = {"items": entries[start : start + 2]}
        return httpx.Response(200, json={**page, "next": str(start + 2)} if more else page)


@dataclass
class Network(httpx.AsyncBaseTransport):
    """In the place of the network.

    Attributes:
        trouble: asked for each request, by how often its key was sent, from 1: `before`, the connection is refused;
            `after` and `late`, the answer is lost; a number, that status comes instead; `None`, all is well.
    """

    service: FakeService
    trouble: Callable[[int], str | int | None] = lambda _attempt: None
    attempts: Counter[str] = field(default_factory=Counter)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("idempotency-key", "")
        self.attempts[key] += 1
        trouble = self.trouble(self.attempts[key])
        if trouble == "before":
            raise httpx.ConnectError("refused", request=request)
        if isinstance(trouble, int):
            return httpx.Response(trouble, text="<html>not now</html>")
        response = self.service.answer(request)
        if trouble == "after":
            raise httpx.ReadError("lost", request=request)
        if trouble == "late":
            raise httpx.ReadTimeout("late", request=request)
        return httpx.Response(response.status_code, content=response.content, headers=response.headers)
