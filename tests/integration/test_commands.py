"""Promise 1 at the edge: one Idempotency-Key, one effect, whatever is repeated, raced, broken off or gone meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel

from deploy.local.engines import Engines
from shared.kernel.clock import system_clock
from shared.kernel.errors import Kind, ServiceError
from shared.messaging.events import EventLog
from shared.runtime.commands import KEY_RETENTION, Accepted, CommandRunner, IdempotencyKey
from shared.runtime.http import create_app
from shared.runtime.mongo import SERVER_SELECTION_TIMEOUT_MS, Mongo, Session
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import seeker_registered

MARK = "王小妹-13805351234"


class Full(ServiceError):
    code: ClassVar[str] = "full"
    kind: ClassVar[Kind] = "conflict"


class Broken(BaseModel):
    """An answer that cannot be written down: the process fails after the work and before the commit."""

    def model_dump(self, **_options: Any) -> Any:
        raise RuntimeError("the process died here")


class Desk:
    """One command on a real database: it stores a seeker and her event. `mood` says how it goes."""

    def __init__(self, mongo: Mongo, client: httpx.AsyncClient, outcomes: Counter) -> None:
        self._outcomes = outcomes
        self.mongo = mongo
        self.client = client
        self.mood = "well"
        self.runs = 0

    async def post(self, key: str | None, body: str = "{}", path: str = "/seekers") -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post(path, content=body, headers=headers)

    def outcomes(self) -> dict[str, float]:
        """How many commands ended in which way."""
        [counter] = self._outcomes.collect()
        return {each.labels["outcome"]: each.value for each in counter.samples if each.name.endswith("_total")}

    async def effects(self) -> tuple[int, int, int]:
        """How many seekers, events and kept answers there are."""
        db = self.mongo.db
        seekers, events, answers = (db[name] for name in ("seekers", "events", "command_answers"))
        return await seekers.count_documents({}), await events.count_documents({}), await answers.count_documents({})


@pytest.fixture
async def desk(settings: Settings, mongo: Mongo) -> AsyncIterator[Desk]:
    events = EventLog(mongo.db, "registry")
    outcomes = Counter("commands", "A test.", ["command", "outcome"], registry=CollectorRegistry())
    runner = CommandRunner(mongo, events, system_clock, secrets.token_bytes(32), outcomes)
    await events.ensure_indexes()
    await runner.ensure_indexes()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, str]:
        return {}

    app = create_app("registry", "A test.", settings, lifespan, ready)

    async def register(session: Session) -> BaseModel:
        served.runs += 1
        event = seeker_registered()
        await mongo.db["seekers"].insert_one({"_id": event.seeker_id}, session=session)
        [envelope] = await events.append(session, [event], system_clock())
        if served.mood == "full":
            raise Full("no seat is left")
        if served.mood == "bug":
            raise RuntimeError("a bug after the work")
        return Broken() if served.mood == "dies" else Accepted.of(envelope)

    @app.post("/seekers")
    @app.post("/others")
    async def seekers(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        response, _ = await runner.counted(request, "register", register)
        return response

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        served = Desk(mongo, client, outcomes)
        yield served


def key() -> str:
    return secrets.token_hex(16)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_the_same_command_again_gets_the_first_answer(desk: Desk) -> None:
    again = key()
    first = await desk.post(again)
    assert first.status_code == 201
    answer = Accepted.model_validate(first.json())
    assert answer.position == f"seeker-registered:{answer.id}:1"
    for _ in range(3):
        repeated = await desk.post(again)
        assert (repeated.status_code, repeated.content) == (first.status_code, first.content)
    assert await desk.effects() == (1, 1, 1)
    stored = await desk.mongo.db["events"].find_one({})
    assert stored is not None
    assert stored["_id"] == answer.event_id


async def test_twenty_at_once_have_one_effect_and_one_answer(desk: Desk) -> None:
    again = key()
    answers = await asyncio.gather(*(desk.post(again) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await desk.effects() == (1, 1, 1)
    assert desk.outcomes() == {"accepted": 1, "repeated": 19}


async def test_twenty_inputs_at_once_under_one_key_have_one_winner(desk: Desk) -> None:
    again = key()
    answers = await asyncio.gather(*(desk.post(again, f'{{"n": {n}}}') for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 19
    assert await desk.effects() == (1, 1, 1)
    assert desk.outcomes() == {"accepted": 1, "idempotency-key-reused": 19}


async def test_another_key_is_another_command(desk: Desk) -> None:
    ids = {(await desk.post(key())).json()["id"] for _ in range(5)}
    assert len(ids) == 5
    assert await desk.effects() == (5, 5, 5)


@pytest.mark.parametrize(("body", "path"), [('{"n": 1}', "/seekers"), ("{ }", "/seekers"), ("{}", "/others")])
async def test_the_same_key_for_another_input_is_refused(desk: Desk, body: str, path: str) -> None:
    again = key()
    first = await desk.post(again)
    response = await desk.post(again, body, path)
    assert code_of(response) == (422, "idempotency-key-reused")
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
    assert response.json()["retryable"] is False
    assert (await desk.post(again)).content == first.content
    assert await desk.effects() == (1, 1, 1)


@pytest.mark.parametrize(
    "bad", [None, "", "short77", "x" * 129, "with a space", "tab\there", "schlüssel-1".encode().decode("latin-1")]
)
async def test_a_missing_or_bad_key_is_named(desk: Desk, bad: str | None) -> None:
    response = await desk.client.post(
        "/seekers", content="{}", headers=[] if bad is None else [(b"idempotency-key", bad.encode("latin-1"))]
    )
    assert code_of(response) == (422, "idempotency-key-missing")
    assert [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]
    assert not bad or bad not in response.text
    assert desk.runs == 0
    assert await desk.effects() == (0, 0, 0)


@pytest.mark.parametrize("good", ["x" * 8, "x" * 128, "!~#$%&'*+-.^_`|"])
async def test_every_visible_key_of_the_right_length_is_good(desk: Desk, good: str) -> None:
    assert (await desk.post(good)).status_code == 201


@pytest.mark.parametrize(
    ("mood", "status"), [("full", 409), ("bug", 500), ("dies", 500)], ids=["refused", "bug", "died before the commit"]
)
async def test_what_failed_stored_nothing_and_frees_the_key(desk: Desk, mood: str, status: int) -> None:
    again = key()
    desk.mood = mood
    assert (await desk.post(again)).status_code == status
    assert desk.runs == 1
    assert await desk.effects() == (0, 0, 0)
    desk.mood = "well"
    assert (await desk.post(again, '{"mended": true}')).status_code == 201
    assert await desk.effects() == (1, 1, 1)
    assert desk.outcomes() == ({"full": 1, "accepted": 1} if mood == "full" else {"accepted": 1})


async def test_a_client_that_goes_away_gets_all_or_nothing(desk: Desk) -> None:
    """Cancelled at many moments, the command has happened or has not; its retry makes it exactly one."""
    keys = [key() for _ in range(15)]
    for number, again in enumerate(keys):
        command = asyncio.create_task(desk.post(again))
        done, _ = await asyncio.wait([command], timeout=number * 0.000_5)
        if not done:
            command.cancel()
            await asyncio.gather(command, return_exceptions=True)
    seekers, events, answers = await desk.effects()
    assert seekers == events == answers
    assert {(await desk.post(again)).status_code for again in keys} == {201}
    assert await desk.effects() == (len(keys),) * 3


async def test_input_and_key_are_not_kept_as_they_are(desk: Desk) -> None:
    again = key()
    await desk.post(again, f'{{"name": "{MARK}"}}')
    async for kept in desk.mongo.db["command_answers"].find({}):
        assert MARK not in repr(kept)
        assert again not in repr(kept)


async def test_answers_are_kept_for_a_month(desk: Desk) -> None:
    indexes = await desk.mongo.db["command_answers"].index_information()
    expiry = [index for index in indexes.values() if "expireAfterSeconds" in index]
    assert [index["expireAfterSeconds"] for index in expiry] == [KEY_RETENTION.total_seconds()]


async def test_a_database_lost_in_mid_command_leaves_one_effect_of_each(engines: Engines, desk: Desk) -> None:
    """Some commands are committed and their answers lost; others come while there is no database. Retries mend all."""
    done, meanwhile = key(), key()
    assert (await desk.post(done)).status_code == 201
    keys = [key() for _ in range(12)]
    running = [asyncio.create_task(desk.post(again)) for again in keys]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    engines.kill_store()
    try:
        # A client is told to retry soon, also one whose commit was on its way.
        async with asyncio.timeout(6 * SERVER_SELECTION_TIMEOUT_MS / 1000):
            answers = await asyncio.gather(*running, desk.post(done), desk.post(meanwhile))
    finally:
        engines.start_store()
    lost = [answer for answer in answers if answer.status_code != 201]
    assert lost[-2:] == answers[-2:]
    for answer in lost:
        assert code_of(answer) == (503, "store-unavailable")
        assert answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) >= 1

    everything = [done, meanwhile, *keys]

    async def are_all_accepted() -> bool:
        return {(await desk.post(again)).status_code for again in everything} == {201}

    await eventually(are_all_accepted, "every command is accepted by the same process")
    assert await desk.effects() == (len(everything),) * 3
