"""What the reading routes share: where they read from, how fresh that is, and which policy it was made with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, Field

from services.matching import use_cases
from services.matching.domain import EntityKind, Parts, Policy
from services.matching.errors import CatchingUp, PositionInvalid, StartingError
from services.matching.facts import KIND_OF_TOPIC
from services.matching.position import StreamPosition
from services.matching.use_cases import Live
from shared.contracts.matching import Parts as PartsPayload
from shared.contracts.position import Position
from shared.kernel.clock import Clock
from shared.kernel.ids import ID_PATTERN

T = TypeVar("T")

TIMEOUT_DEFAULT_MS = 2_000
TIMEOUT_MAX_MS = 10_000
"""Longest freshness wait: shorter than the time after which proxies give up on a request."""

HELPING_MAX = 2
"""Searches for what would help that run at a time; each looks at thousands of profiles, the others wait their turn."""

POSITION_MAX_CHARS = 200

PostId = Annotated[str, Path(pattern=ID_PATTERN, description="`pst-…`")]
SeekerId = Annotated[str, Path(pattern=ID_PATTERN, description="`skr-…`, a pseudonym")]
After = Annotated[
    str | None,
    Query(
        max_length=POSITION_MAX_CHARS,
        description="A command's `position`, or one that matching answered: wait until the answer shows at least that.",
    ),
]
Timeout = Annotated[
    int, Query(ge=0, le=TIMEOUT_MAX_MS, description="Longest wait for `after`, then 503 `not-fresh-yet`.")
]


class Fresh(BaseModel):
    """How fresh an answer is."""

    as_of: Annotated[datetime | None, Field(description="Moment of the latest change that the answer shows.")] = None
    age_ms: Annotated[
        int | None, Field(description="Milliseconds since `as_of`; large when nothing happened since.")
    ] = None
    day: Annotated[date, Field(description="Civil day in China that eligibility and waiting are counted for.")]
    at: Annotated[
        datetime, Field(description="Instant that the answer is of: what has closed or run out by then is out.")
    ]
    position: Annotated[
        str | None,
        Field(description="The answer is made of all events before this position; opaque. Absent for all cities."),
    ] = None
    also_before: Annotated[
        list[str],
        Field(
            description="Where a broker was lost: positions there, before which lie events that the answer is made of "
            "too, until the state is built anew."
        ),
    ]


class PolicyNamed(BaseModel):
    """The dated policy that a ranking is made with."""

    city: Annotated[str, Field(description="Whose policy: the city's own, or `*`, common to cities without their own.")]
    version: int
    valid_from: date

    @classmethod
    def of(cls, policy: Policy) -> PolicyNamed:
        """How an answer names a policy."""
        return cls(city=policy.city, version=policy.version, valid_from=policy.valid_from)


@dataclass(frozen=True, slots=True)
class Reader:
    """What the routes read from.

    Attributes:
        helping: held by whoever searches for what would help.
    """

    live: Live
    clock: Clock
    helping: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HELPING_MAX))

    def fresh(self, city: str | None, now: datetime) -> Fresh:
        """Freshness of what is known of a city, or of all that this instance answers for; called after the answer was
        made, in the same step of the event loop.

        Raises:
            CatchingUp: this instance does not answer for the city.
        """
        if city is not None:
            self.live.check(city)
        as_of = self.live.as_of([city] if city is not None else self.live.cities())
        position = None if city is None else self.live.position(city)
        return Fresh(
            as_of=as_of,
            age_ms=None if as_of is None else max(int((now - as_of).total_seconds() * 1000), 0),
            day=self.live.engine.day,
            at=self.live.stands_at or now,
            position=None if position is None else str(position),
            also_before=[] if city is None else list(self.live.lost(city)),
        )

    def ids(self, kind: EntityKind, city: str | None, now: datetime) -> Iterator[str]:
        """Entities that are not over, of one city or of all that this instance answers for, in no order.

        Raises:
            CatchingUp: this instance does not answer for the city.
        """
        engine = self.live.at(now)
        if city is not None:
            self.live.check(city)
        for each in [city] if city is not None else self.live.cities():
            yield from engine.ids(kind, each)

    def policy(self, city: str | None) -> PolicyNamed:
        """The policy that a city's rankings are made with at present."""
        return PolicyNamed.of(self.live.engine.policy_of(city or ""))

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        return self.live.engine.city_of(kind, id_)

    async def answer(self, after: str | None, timeout_ms: int, read: Callable[[datetime], T]) -> T:
        """What `read` finds at the present instant, with a position once that is reached and answered for here.

        Raises:
            PositionInvalid, NotFreshYet
            StartingError, CatchingUp: as `read` does, with a position only after the time.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_ms / 1000
        await self.wait(after, timeout_ms)
        while True:
            try:
                return read(self.clock())
            except (StartingError, CatchingUp):
                left_s = deadline_s - loop.time()
                if after is None or left_s <= 0:
                    raise
            await self.live.change_of_hands(left_s)

    async def wait(self, after: str | None, timeout_ms: int) -> None:
        """Wait for a position, if one is asked for.

        Raises:
            PositionInvalid, NotFreshYet
        """
        if after is None:
            return
        if ":" not in after:
            await use_cases.await_position(self.live, stream_position(after), timeout_ms)
            return
        try:
            position = Position.parse(after)
        except ValueError as error:
            raise PositionInvalid(str(error)) from None
        kind = KIND_OF_TOPIC.get(position.topic)
        if kind is None:
            raise PositionInvalid(f"a topic that matching consumes: {', '.join(KIND_OF_TOPIC)}")
        await use_cases.await_version(self.live, kind, position.entity_id, position.version, timeout_ms)


def stream_position(text: str) -> StreamPosition:
    """A position that matching answered.

    Raises:
        PositionInvalid: it is none.
    """
    try:
        return StreamPosition.parse(text)
    except ValueError as error:
        raise PositionInvalid(str(error)) from None


def parts_of(parts: Parts) -> PartsPayload:
    """Parts of a score as they are answered."""
    return PartsPayload(**parts._asdict())
