"""What would help a seeker or a post, asked of the live rankings without holding them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.matching.domain import Candidate, EntityKind, Opening, Policy
from services.matching.domain.helps import Helps, PostHelps, SeekerHelps
from services.matching.errors import PostUnknown, SeekerUnknown
from shared.kernel.turns import in_turns

SLICE = 128
"""Profiles that are looked at before others run: about 2 ms, so that no reader waits longer for the event loop."""

IDS_SLICE = 1_024
"""Ids that are collected before others run: about a millisecond."""

LOOKED_AT_MAX = 20_000
"""Profiles that one answer looks at: more than the posts of any city so far. Of a larger city's seekers a share is
looked at that follows from their ids, which are random: the same on every machine, and fair."""

TAIL_DIGITS = 8
"""Last digits of an id that decide whether it is in the share."""

TAILS = 16**TAIL_DIGITS


class Profiles(Protocol):
    """The rankings' profiles at the present; the engine has them."""

    def candidate(self, seeker_id: str) -> Candidate | None:
        """A seeker's profile; `None` if she withdrew or is unknown."""

    def opening(self, post_id: str) -> Opening | None:
        """A post's profile; `None` if it is closed or unknown."""

    def ids(self, kind: EntityKind, city: str | None = None) -> Iterable[str]:
        """Entities that are not over, in no order."""

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        """City of an entity, also of one that is over; `None` if it is unknown."""

    def policy_of(self, city: str) -> Policy:
        """The policy that a city ranks by."""


@dataclass(frozen=True, slots=True)
class WhatHelps:
    """What would help, and of how many pairs that is said.

    Attributes:
        looked_at: profiles on the other side that were looked at.
        of: how many there are in the city.
    """

    helps: Helps
    looked_at: int
    of: int


async def what_helps_seeker(profiles: Profiles, seeker_id: str) -> WhatHelps:
    """The single changes of a seeker that would open most posts to her; none for one who withdrew.

    She is looked at as she was when it was asked; the posts, each as it is when its turn comes.

    Raises:
        SeekerUnknown
    """
    city = profiles.city_of("seeker", seeker_id)
    if city is None:
        raise SeekerUnknown
    candidate = profiles.candidate(seeker_id)
    if candidate is None:
        return WhatHelps((), 0, 0)
    search = SeekerHelps(profiles.policy_of(city), candidate)
    posts, of = await _share(profiles.ids("post", city))
    async for ids in in_turns(posts, SLICE):
        search.look(map(profiles.opening, ids))
    return WhatHelps(search.helps(), len(posts), of)


async def what_helps_post(profiles: Profiles, post_id: str) -> WhatHelps:
    """The single changes of a post that would open it to most seekers; none for a closed one.

    Raises:
        PostUnknown
    """
    city = profiles.city_of("post", post_id)
    if city is None:
        raise PostUnknown
    opening = profiles.opening(post_id)
    if opening is None:
        return WhatHelps((), 0, 0)
    search = PostHelps(profiles.policy_of(city), opening)
    seekers, of = await _share(profiles.ids("seeker", city))
    async for ids in in_turns(seekers, SLICE):
        search.look(map(profiles.candidate, ids))
    return WhatHelps(search.helps(), len(seekers), of)


async def _share(ids: Iterable[str]) -> tuple[Sequence[str], int]:
    """The ids that are looked at, and how many there are; after each piece of them whoever is ready runs.

    All, if there are at most `LOOKED_AT_MAX`; else those with the lowest tails: a half of all tails, a quarter, …,
    until they are not too many. So the share is the same whatever order the ids come in.
    """
    taken: list[str] = []
    below, of = TAILS, 0
    async for piece in in_turns(ids, IDS_SLICE):
        of += len(piece)
        taken += [id_ for id_ in piece if below == TAILS or _tail(id_) < below]
        while len(taken) > LOOKED_AT_MAX:
            below //= 2
            taken = [id_ for id_ in taken if _tail(id_) < below]
    return taken, of


def _tail(id_: str) -> int:
    return int(id_[-TAIL_DIGITS:], 16)
