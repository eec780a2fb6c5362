"""Why a pair matches or not, and what would help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.matching import use_cases
from services.matching.api.reader import (
    TIMEOUT_DEFAULT_MS,
    After,
    Fresh,
    PolicyNamed,
    PostId,
    Reader,
    SeekerId,
    Timeout,
    parts_of,
)
from services.matching.domain import EntityKind, Failure, describe
from services.matching.domain.helps import (
    COMMUTE_STEP_M,
    MINUTES_STEP,
    PAY_STEP_FEN,
    Help,
    PostChange,
    SeekerChange,
    say,
)
from services.matching.domain.rules import Reason, Unit
from services.matching.use_cases import helps
from services.matching.use_cases.helps import Profiles, WhatHelps
from shared.contracts.matching import Parts as PartsPayload
from shared.kernel.week import SLOTS_PER_DAY, time_of
from shared.runtime.routers import reading


class DayView(BaseModel):
    """How much of the post's hours on a weekday she has free."""

    day: Annotated[int, Field(description="ISO weekday, 1 = Monday.")]
    asked_minutes: Annotated[int, Field(description="Minutes of the post's hours on it.")]
    shared_minutes: Annotated[int, Field(description="Those of them in which she is free.")]


class FailedFilter(BaseModel):
    """A rule that keeps her out, and by how much."""

    reason: Reason
    says: Annotated[str, Field(description="The same in one short English sentence.")]
    by: Annotated[int | None, Field(description="How much is missing or too much, in `unit`.")] = None
    unit: Unit | None = None
    names: Annotated[list[str], Field(description="Skills that are missing, or the kind not wanted.")] = []
    days: Annotated[
        list[DayView] | None, Field(description="With `hours-do-not-fit`: every weekday of the post's hours.")
    ] = None
    limit: Annotated[int | None, Field(description="With `too-far`: the limit that was crossed, metres.")] = None
    limit_of: Annotated[Literal["seeker", "city"] | None, Field(description="Whose limit that is.")] = None


class PolicyUsed(PolicyNamed):
    """The dated policy that a score was made with, whole."""

    weights: Annotated[dict[str, int], Field(description="Percent; a part is 0..1000 times its weight.")]
    limits: Annotated[dict[str, int], Field(description="`commute_max_m`, and `waiting_full_weeks` for a full part.")]


class WhyAnswer(Fresh):
    """Why she stands where she stands, or every reason why she does not."""

    post_id: str
    seeker_id: str
    matches: bool
    score: int | None = None
    parts: PartsPayload | None = None
    failed: list[FailedFilter]
    policy: PolicyUsed


class FreeSpan(BaseModel):
    """A half hour of the week."""

    model_config = ConfigDict(populate_by_name=True)

    day: Annotated[int, Field(description="ISO weekday, 1 = Monday.")]
    start: Annotated[str, Field(alias="from")]
    to: str


class HelpView(BaseModel):
    """One change, and how many pairs it opens."""

    change: Annotated[SeekerChange | PostChange, Field(description="What would change.")]
    says: Annotated[str, Field(description="The same in one short English sentence.")]
    opens: Annotated[int, Field(description="Pairs that match after exactly this change, and do not now.")]
    by: Annotated[int | None, Field(description="By how much: farther, less or more, in `unit`.")] = None
    unit: Unit | None = None
    name: Annotated[str | None, Field(description="The kind or skill.")] = None
    free: Annotated[FreeSpan | None, Field(description="The half hour that would be free.")] = None


class Helping(Fresh):
    """Best single change of each type, the best of all first."""

    helps: list[HelpView]
    looked_at: Annotated[int, Field(description="Profiles that this was counted over.")]
    of: Annotated[int, Field(description="Profiles of the city; more than `looked_at` where a share was counted.")]
    policy: PolicyNamed
    position_at_end: Annotated[
        str | None,
        Field(description="Where the rankings stood at the end of the search; each profile is as between the two."),
    ] = None


class SeekerHelpAnswer(Helping):
    """What would open most posts to a seeker."""

    seeker_id: str


class PostHelpAnswer(Helping):
    """What would open a post to most seekers."""

    post_id: str


def router(reader: Reader) -> APIRouter:
    """The routes that explain."""
    routes = reading("matching")

    @routes.get("/posts/{post_id}/seekers/{seeker_id}/why", response_model_exclude_none=True)
    async def why(
        post_id: PostId,
        seeker_id: SeekerId,
        after: After = None,
        timeout_ms: Timeout = TIMEOUT_DEFAULT_MS,
    ) -> WhyAnswer:
        """The parts of a pair's score, or every reason why she is not ranked for the post."""

        def read(now: datetime) -> WhyAnswer:
            verdict = use_cases.why(reader.live, post_id, seeker_id, now)
            city = reader.city_of("post", post_id) or ""
            policy = reader.live.engine.policy_of(city)
            weights, limits = policy.weights._asdict(), asdict(policy.limits)
            return WhyAnswer(
                post_id=post_id,
                seeker_id=seeker_id,
                matches=verdict.parts is not None,
                score=verdict.score,
                parts=None if verdict.parts is None else parts_of(verdict.parts),
                failed=[_failed(failure) for failure in verdict.failures],
                policy=PolicyUsed(**PolicyNamed.of(policy).model_dump(), weights=weights, limits=limits),
                **reader.fresh(city, now).model_dump(),
            )

        return await reader.answer(after, timeout_ms, read)

    @routes.get("/seekers/{seeker_id}/what-helps", response_model_exclude_none=True)
    async def what_helps_seeker(
        seeker_id: SeekerId, after: After = None, timeout_ms: Timeout = TIMEOUT_DEFAULT_MS
    ) -> SeekerHelpAnswer:
        """The smallest single changes that would open most posts to her: time, way, pay, a kind, a skill."""
        return SeekerHelpAnswer(
            seeker_id=seeker_id,
            **await _search(reader, "seeker", seeker_id, after, timeout_ms, helps.what_helps_seeker),
        )

    @routes.get("/posts/{post_id}/what-helps", response_model_exclude_none=True)
    async def what_helps_post(
        post_id: PostId, after: After = None, timeout_ms: Timeout = TIMEOUT_DEFAULT_MS
    ) -> PostHelpAnswer:
        """The smallest single changes that would open the post to most seekers: minutes asked, pay, a skill."""
        return PostHelpAnswer(
            post_id=post_id,
            **await _search(reader, "post", post_id, after, timeout_ms, helps.what_helps_post),
        )

    return routes


async def _search(
    reader: Reader,
    kind: EntityKind,
    id_: str,
    after: str | None,
    timeout_ms: int,
    what_helps: Callable[[Profiles, str], Awaitable[WhatHelps]],
) -> dict[str, Any]:
    """Search for what would help, and say which states of the rankings it went through.

    Raises:
        As `Reader.answer`, and as the search does.
    """

    def begin(now: datetime) -> tuple[Profiles, str | None, Fresh, PolicyNamed]:
        profiles = reader.live.at(now)
        city = reader.city_of(kind, id_)
        return profiles, city, reader.fresh(city, now), reader.policy(city)

    async with reader.helping:
        profiles, city, fresh, policy = await reader.answer(after, timeout_ms, begin)
        # From here to its first pause the search sees the state that was just named, and the same policy to its end.
        found = await what_helps(profiles, id_)
        end = reader.fresh(city, reader.clock()).position
    return {
        "helps": [_help(help_) for help_ in found.helps],
        "looked_at": found.looked_at,
        "of": found.of,
        "policy": policy,
        "position_at_end": end,
        **fresh.model_dump(),
    }


def _failed(failure: Failure) -> FailedFilter:
    return FailedFilter(
        reason=failure.reason,
        says=describe(failure),
        by=failure.by,
        unit=failure.unit,
        names=list(failure.names),
        days=[DayView(**day._asdict()) for day in failure.days] or None,
        limit=failure.limit,
        limit_of=failure.limit_of,
    )


def _help(help_: Help) -> HelpView:
    change = help_.change
    view = HelpView(change=change.type, says=say(help_), opens=help_.opens, name=change.name)
    match change.type:
        case "free-time" if change.slot is not None:
            day, slot = divmod(change.slot, SLOTS_PER_DAY)
            view.free = FreeSpan(day=day + 1, start=time_of(slot), to=time_of(slot + 1))
        case "commute":
            view.by, view.unit = change.steps * COMMUTE_STEP_M, "metres"
        case "pay-floor" | "pay":
            view.by, view.unit = change.steps * PAY_STEP_FEN, "fen-an-hour"
        case "min-minutes":
            view.by, view.unit = change.steps * MINUTES_STEP, "minutes-a-week"
    return view
