"""A small service of the factory, with every kind of field, error and scope that services have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

import httpx
from fastapi import APIRouter, FastAPI, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from pymongo.errors import AutoReconnect, OperationFailure

from shared.kernel.errors import Fault, Kind, ServiceError
from shared.runtime.http import create_app, needs
from shared.runtime.settings import Settings

MARK = "王小妹-13805351234"
PROBLEM = "application/problem+json"


class Child(BaseModel):
    birth_date: date


class Person(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    phone: Annotated[str, Field(pattern=r"^\+?[0-9]{7,15}$")]
    children: Annotated[list[Child], Field(min_length=1, max_length=10)]


class ByHour(BaseModel):
    per: Literal["hour"]
    fen: int


class ByPiece(BaseModel):
    per: Literal["piece"]
    fen: int


class Register(BaseModel):
    """A body with every kind of field that services have."""

    model_config = ConfigDict(extra="forbid")

    city: Annotated[str, Field(pattern=r"^[1-9][0-9]{5}$")]
    commute_km: Annotated[int, Field(ge=1, le=100)]
    kind: Literal["elastic", "team"]
    at: AwareDatetime
    urgent: bool
    person: Person
    pay: Annotated[ByHour | ByPiece, Field(discriminator="per")]
    note: Annotated[str, Field(max_length=2000)] = ""

    @field_validator("city")
    @classmethod
    def _known(cls, city: str) -> str:
        if city != "370600":
            raise ValueError("expected a city of the programme")
        return city


GOOD: dict[str, Any] = {
    "city": "370600",
    "commute_km": 5,
    "kind": "team",
    "at": "2026-03-02T09:00:00+08:00",
    "urgent": False,
    "person": {"name": "x", "phone": "13800000000", "children": [{"birth_date": "2022-05-01"}]},
    "pay": {"per": "hour", "fen": 1800},
}


class SeatTaken(ServiceError):
    code: ClassVar[str] = "seat-taken"
    kind: ClassVar[Kind] = "conflict"


class Busy(ServiceError):
    code: ClassVar[str] = "busy"
    kind: ClassVar[Kind] = "unavailable"
    retryable: ClassVar[bool] = True


TOKENS = {
    "reads": "read",
    "writes": "read,write",
    "opens": "read,write,personal",
    "yantai": "read,write cities=370600,370700",
}


class Served:
    """An app of the factory with a client, and what its routes were given."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.bodies: list[bytes] = []
        self.parts = {"store": "up", "bus": "up"}

    async def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        return await self.client.post(path, content=content, headers={"content-type": "application/json"} | headers)


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Served]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, str]:
        return served.parts

    app = create_app("registry", "A test.", settings, lifespan, ready)
    router = APIRouter()

    @router.post("/seekers", dependencies=[needs("write")])
    async def register(_body: Register, request: Request) -> dict[str, int]:
        served.bodies.append(await request.body())
        return {"accepted": 1}

    @router.post("/seekers/bulk")
    async def bulk(request: Request) -> dict[str, int]:
        served.bodies.append(await request.body())
        return {"bytes": len(served.bodies[-1])}

    @router.get("/seekers", dependencies=[needs("read")])
    async def list_seekers(city: str | None = None) -> dict[str, str | None]:
        return {"city": city}

    @router.get("/months", dependencies=[needs("read")])
    async def list_of_no_city() -> dict[str, str]:
        return {}

    @router.get("/cities/{city}/policies", dependencies=[needs("read")])
    async def policies(city: str) -> dict[str, str]:
        return {"city": city}

    @router.get("/seekers/{seeker_id}/posts", dependencies=[needs("read")])
    async def posts(seeker_id: str, limit: Annotated[int, Query(ge=1, le=20)] = 20) -> dict[str, int]:
        return {"limit": limit, "length": len(seeker_id)}

    @router.get("/seekers/{seeker_id}/person", dependencies=[needs("personal")])
    async def person(seeker_id: str) -> dict[str, str]:
        return {"id": seeker_id}

    failures: dict[str, Exception] = {
        "conflict": SeatTaken("no seat is left", Fault("post_id", "a post with seats left")),
        "busy": Busy("try again"),
        "store-away": AutoReconnect(f"db-host-7:27017 {MARK}"),
        "store-odd": OperationFailure(f"E11000 {MARK}"),
        "bug": RuntimeError(f"no {MARK}"),
    }

    @router.get("/fail/{how}")
    async def fail(how: str) -> None:
        raise failures[how]

    app.include_router(router)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        served = Served(app, client)
        yield served


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem details of an answer, checked for what RFC 9457 and our own rules ask of each."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:mamapost:problem:{code}"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["retryable"], bool)
    return body


def fields_of(body: dict[str, Any]) -> set[str]:
    assert all(set(error) == {"field", "expected"} and error["expected"] for error in body["errors"])
    return {error["field"] for error in body["errors"]}
