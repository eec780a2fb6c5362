"""What changed in one post's ranking: since a sequence, or live as a stream of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from services.matching import use_cases
from services.matching.api.reader import PostId, Reader, parts_of
from services.matching.domain import Placed, RankedSeeker
from services.matching.ports import Basis, Published, RankingLog
from services.matching.use_cases import Change, Stream
from shared.contracts.matching import Parts as PartsPayload
from shared.contracts.matching import PolicyOf
from shared.runtime.http import needs

SEQUENCE_MAX = 2**31 - 1

RETRY_MS = 1_000
"""Pause before a reader comes again: by then a city that changed hands has its next owner, mostly."""


class Place(BaseModel):
    """A place in the published ranking, which has ten."""

    place: Annotated[int, Field(description="From 1, the best.")]
    seeker_id: str
    score: int
    parts: Annotated[PartsPayload, Field(description="Each part times its weight; they sum to the score.")]


class Move(Place):
    """A seeker who stays, with another place, score or part of it."""

    was: Annotated[int, Field(description="Her place before.")]


class MadeOf(BaseModel):
    """What a published ranking is made of."""

    sequence: Annotated[int, Field(description="Counts the post's published rankings; 0: none yet.")]
    as_of: Annotated[datetime | None, Field(description="Instant that it is of.")] = None
    position: Annotated[str | None, Field(description="It is made of all events before this position; opaque.")] = None
    policy: Annotated[PolicyOf | None, Field(description="The policy that it is made with.")] = None


class RankingChange(MadeOf):
    """What leads from one published ranking to a later one; who is not named stands where she stood, as she was."""

    post_id: str
    since: Annotated[int, Field(description="Sequence of the earlier one.")]
    entered: list[Place]
    left: list[str]
    moved: list[Move]
    size: Annotated[int, Field(description="Seekers in the later one.")]


class RankingSnapshot(MadeOf):
    """A whole published ranking."""

    post_id: str
    top: list[Place]


def router(reader: Reader, log: RankingLog) -> APIRouter:
    """The routes of changes."""
    routes = APIRouter(tags=["matching"], dependencies=[needs("read")])

    @routes.get("/posts/{post_id}/ranking/changes")
    async def changes(
        post_id: PostId,
        since: Annotated[
            int, Query(ge=0, le=SEQUENCE_MAX, description="`sequence` of an earlier answer or event; 0: everything.")
        ] = 0,
    ) -> RankingChange:
        """Who entered, left and moved in the post's published ranking (its best ten) since a sequence.

        410 `sequence-unknown` if nothing is known of that sequence: read the whole with `since=0`.
        """
        return _change(await use_cases.changes_since(reader.live, post_id, since, reader.clock(), log=log))

    async def watching(
        post_id: PostId,
        last_event_id: Annotated[
            int | None, Header(ge=0, le=SEQUENCE_MAX, description="`id` of the last event that was received.")
        ] = None,
    ) -> AsyncIterator[Stream]:
        watchers = reader.live.watchers
        watcher = watchers.begin(post_id)
        try:
            # After the watcher: what is published meanwhile comes as news.
            yield await use_cases.begin(reader.live, watcher, last_event_id, reader.clock(), log=log)
        finally:
            watchers.leave(watcher)

    begins: Any = Depends(watching)  # what is refused is refused before the stream begins

    @routes.get("/posts/{post_id}/ranking/stream", response_class=EventSourceResponse)
    async def stream(begun: Stream = begins) -> AsyncIterator[ServerSentEvent]:
        """The post's published ranking, live: a `snapshot` (unless `Last-Event-ID` says what is known), then a `change`
        at each publication, `closed` when the post is over, and `resume` when the reader should connect again."""
        async for told in use_cases.follow(begun):
            yield _event(told)

    return routes


def _event(told: Published | Change | str) -> ServerSentEvent:
    if isinstance(told, Published):
        whole = RankingSnapshot(
            post_id=told.post_id,
            top=[_place(place, seeker) for place, seeker in enumerate(told.top, 1)],
            **_made_of(told.sequence, told.basis if told.sequence else None),
        )
        return ServerSentEvent(data=whole, event="snapshot", id=str(told.sequence), retry=RETRY_MS)
    if isinstance(told, Change):
        return ServerSentEvent(data=_change(told), event="change", id=str(told.sequence))
    # Without an id, so that the reader resumes from what she was told last.
    if told == "closed":
        return ServerSentEvent(data={"reason": told}, event="closed")
    return ServerSentEvent(data={"reason": told}, event="resume", retry=RETRY_MS)


def _change(change: Change) -> RankingChange:
    found = change.difference
    return RankingChange(
        post_id=change.post_id,
        since=change.since,
        entered=[_place(one.place, one.seeker) for one in found.entered],
        left=list(found.left),
        moved=[_move(one) for one in found.moved],
        size=found.size,
        **_made_of(change.sequence, change.basis),
    )


def _made_of(sequence: int, basis: Basis | None) -> dict[str, Any]:
    policy = None if basis is None else basis.policy
    return {
        "sequence": sequence,
        "as_of": None if basis is None else basis.at,
        "position": None if basis is None else basis.position,
        "policy": None if policy is None else PolicyOf(city=policy[0], version=policy[1]),
    }


def _place(place: int, seeker: RankedSeeker) -> Place:
    return Place(place=place, seeker_id=seeker.seeker_id, score=seeker.score, parts=parts_of(seeker.parts))


def _move(moved: Placed) -> Move:
    return Move(**_place(moved.place, moved.seeker).model_dump(), was=moved.was or moved.place)
