"""What users do meanwhile: whole programmes, each in a city of its own, and readers of rankings."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import httpx
import orjson

from mamapost.chaos.history import Answered, Effect, History, Invoked, Place, Ranking, Unknown
from mamapost.chaos.world import World
from mamapost.scenario.dice import Dice
from mamapost.scenario.drive import Journal, Undelivered, drive
from mamapost.scenario.drive.sending import GONE
from mamapost.scenario.model import Scenario
from mamapost.scenario.yantai import generate
from mamapost.scenario.yantai.facts import CITY
from services.matching.facts import KIND_OF_TOPIC

SCALE: Final = 0.01
"""Of each programme: some 500 commands in 190 requests, so that many begin and end within a run."""

WAVES_AT_ONCE: Final = 2
"""Programmes that are played side by side: while one waits for a part that is hurt, the other goes on."""

CONCURRENCY: Final = 4
"""Requests of one programme on their way at once."""

REQUESTS_PER_S: Final = 12.0
"""Commands and uploads a second, all programmes together: about a third of what two cores bear beside two instances of
each service, so that what waited for a hurt part is made good for."""

READS_PER_S: Final = 4.0
"""Rankings read a second; each is held against the rules afterwards."""

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
"""Shorter than the longest pause of an instance: an answer that comes too late is lost, as a user would lose it."""

DEADLINE_S: Final = 300.0
"""How long a request is repeated: longer than any fault and what comes after it."""

READ_WAIT_MS: Final = 2_000
"""Longest wait of a read that asks for fresh rankings."""

_CITIES: Final = 900
"""City codes that programmes are moved to, one each: 100100 to 999900 in steps of one hundred."""


def city_of_wave(number: int) -> str:
    """The city of a programme, from 1: another one for each, spread over the partitions."""
    return f"{1000 + number * 7 % (10 * _CITIES)}00"


def relocated(scenario: Scenario, city: str) -> Scenario:
    """The same programme in another city: all division codes begin with that city's."""
    old, new = CITY[:4], city[:4]

    def moved_field(name: str, value: Any) -> Any:
        if name in ("city", "area") and str(value).startswith(old):
            return new + value[4:]
        if name == "receipt":  # one receipt is good for one spending, wherever it was
            return base64.b64encode(base64.b64decode(value) + city.encode()).decode()
        return moved(value)

    def moved(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: moved_field(name, inner) for name, inner in value.items()}
        return [moved(inner) for inner in value] if isinstance(value, list) else value

    stages = tuple(
        replace(stage, commands=tuple(replace(command, body=moved(command.body)) for command in stage.commands))
        for stage in scenario.stages
    )
    return replace(scenario, stages=stages)


class Spread(httpx.AsyncBaseTransport):
    """Sends each request to the next instance of the service that it names, and writes the history of commands.

    A request names the service as host: `http://registry/employers`.
    """

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._clients = {
            name: httpx.AsyncClient(base_url=world.fleet.url(name), timeout=TIMEOUT, trust_env=False)
            for name in world.fleet.services
        }
        self._next = 0
        self._sent: set[str] = set()
        self._free_at = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = request.url.host
        key = request.headers.get("Idempotency-Key")
        self._next += 1
        names = self._world.instances(service)
        instance = names[self._next % len(names)]
        content = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        if key is not None:
            await self._keep_pace()
            if key not in self._sent:
                self._sent.add(key)
                self._history.note(Invoked(self._history.now_s, key, service, request.url.path))
        try:
            answer = await self._clients[instance].request(
                request.method, request.url.raw_path.decode(), content=content, headers=headers
            )
        except httpx.TransportError as error:
            if key is not None:
                self._history.note(Unknown(self._history.now_s, key, instance, type(error).__name__))
            raise
        if key is not None:
            self._note(key, instance, answer)
        return httpx.Response(answer.status_code, headers=_kept(answer.headers), content=answer.content)

    async def aclose(self) -> None:
        """Many clients share this transport; `close` ends it."""

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _keep_pace(self) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at + 1 / REQUESTS_PER_S, now)
        await asyncio.sleep(self._free_at - now)

    def _note(self, key: str, instance: str, answer: httpx.Response) -> None:
        document = _document(answer)
        if not is_known(answer.status_code, document):
            what = f"{answer.status_code} {document.get('code', '')}"
            self._history.note(Unknown(self._history.now_s, key, instance, what))
            return
        self._history.note(Answered(self._history.now_s, key, instance, answer.status_code, _effects(document)))


def is_known(status: int, document: Mapping[str, Any]) -> bool:
    """Whether an answer tells what became of its command; a refusal does, also one that later may be none."""
    return status not in GONE and (status < 500 or document.get("retryable") is not True)


def _kept(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name == "content-type"}


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _effects(document: Mapping[str, Any]) -> tuple[Effect, ...]:
    """The events that an answer to a command, or to an upload, names."""
    rows: Sequence[Mapping[str, Any]] = document.get("rows", [document])
    return tuple(Effect(int(row.get("row", 0)), row["event_id"], row["position"]) for row in rows if "event_id" in row)


@dataclass(slots=True)
class Waves:
    """Programmes that were begun, in order.

    Attributes:
        unanswered: requests that never got an answer; each ended its programme.
    """

    journals: list[Journal] = field(default_factory=list)
    finished: int = 0
    unanswered: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return sum(len(journal.accepted) for journal in self.journals)


async def play(
    world: World, history: History, seed: int, month: date, over: asyncio.Event, waves: Waves, spread: Spread
) -> None:
    """Play programmes until `over`; those that are begun are finished."""
    urls = {service: f"http://{service}" for service in ("registry", "training", "revenue")}

    async def one_after_the_other() -> None:
        while not over.is_set():
            journal = Journal()
            waves.journals.append(journal)
            number = len(waves.journals)
            scenario = await asyncio.to_thread(generate, seed + number, SCALE, month)
            try:
                await drive(
                    relocated(scenario, city_of_wave(number)),
                    urls,
                    world.credentials.token,
                    approver_token=world.credentials.approver_token,
                    run=f"chaos-{seed}-{number}",
                    concurrency=CONCURRENCY,
                    deadline_s=DEADLINE_S,
                    journal=journal,
                    transport=spread,
                )
                waves.finished += 1
            except Undelivered as error:
                waves.unanswered.append(str(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(WAVES_AT_ONCE):
            group.create_task(one_after_the_other())


async def read(world: World, history: History, seed: int, over: asyncio.Event, waves: Waves) -> None:
    """Read rankings of posts at random, from instances at random, until `over`; some ask for the last command."""
    dice = Dice("chaos-reads", seed)
    headers = {"Authorization": f"Bearer {world.credentials.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT, trust_env=False) as http:
        while not over.is_set():
            await asyncio.sleep(1 / READS_PER_S)
            journals = [journal for journal in waves.journals[-WAVES_AT_ONCE * 2 :] if _posts(journal)]
            if not journals:
                continue
            journal = dice.pick(journals)
            post_id, instance = dice.pick(_posts(journal)), dice.pick(world.instances("matching"))
            after = _last(journal) if dice.chance(30) else None
            query = {"timeout_ms": str(READ_WAIT_MS)} | ({} if after is None else {"after": after})
            try:
                answer = await http.get(f"{world.fleet.url(instance)}/posts/{post_id}/ranking", params=query)
            except httpx.TransportError:
                continue
            if answer.status_code == httpx.codes.OK:
                history.note(_ranking(history.now_s, instance, answer.json(), after))


def _posts(journal: Journal) -> list[str]:
    return [id_ for ref, id_ in journal.ids.items() if ref.startswith("post:")]


def _last(journal: Journal) -> str | None:
    """Position of the last command that matching hears of."""
    heard = (entry.position for entry in reversed(journal.accepted) if entry.topic in KIND_OF_TOPIC)
    return next(heard, None)


def _ranking(at_s: float, instance: str, answer: Mapping[str, Any], after: str | None) -> Ranking:
    return Ranking(
        at_s=at_s,
        instance=instance,
        post_id=answer["post_id"],
        positions=(answer["position"], *answer["also_before"]),
        at=answer["at"],
        policy=(answer["policy"]["city"], answer["policy"]["version"]),
        top=tuple(Place(one["seeker_id"], one["score"], tuple(one["parts"].values())) for one in answer["top"]),
        limit=RANKING_PLACES,
        after=after,
    )


RANKING_PLACES: Final = 50
"""Places of a ranking that is read without a limit."""
