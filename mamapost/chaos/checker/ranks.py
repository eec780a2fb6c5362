"""Promise 6: every ranking that anybody was told is the one that the rules give at the position it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from mamapost.chaos.evidence import Topics
from mamapost.chaos.history import Place, Ranking
from mamapost.demo.report import Check
from services.matching.domain import Fact, Programme, rank_post, view_of
from services.matching.facts import CONSUMED, KIND_OF_TOPIC, fact_of
from services.matching.position import TOPIC_ORDER, StreamPosition
from shared.contracts.matching import RankingChanged
from shared.contracts.position import Position

PUBLISHED_PLACES = 10
"""Places of a ranking on its topic."""


class Placed(NamedTuple):
    """A fact, and the offset at which it stands on its topic."""

    topic: str
    offset: int
    fact: Fact


class Ranks(NamedTuple):
    """The check, and how many rankings could not be held against anything.

    Attributes:
        unverified: made of events that only a lost broker held, whose end nobody had read before it was lost.
    """

    check: Check
    unverified: int


class Facts:
    """What matching can have read, by broker, partition and city."""

    def __init__(self, topics: Topics) -> None:
        self._placed: defaultdict[tuple[str, int, str], list[Placed]] = defaultdict(list)
        self._ends: dict[tuple[str, int, str], int] = {}
        self._cities: dict[str, str] = {}
        for message in topics.messages:
            spot = message.spot
            ends = (spot.generation, spot.partition, spot.topic)
            self._ends[ends] = max(self._ends.get(ends, 0), spot.offset + 1)
            if message.envelope is None or not isinstance(message.envelope.event, CONSUMED):
                continue
            fact = fact_of(message.envelope.event)
            self._placed[spot.generation, spot.partition, fact.city].append(Placed(spot.topic, spot.offset, fact))
            if fact.kind == "post":
                self._cities[fact.id] = fact.city

    def city_of(self, post_id: str) -> str | None:
        """The city of a post; `None` for one that is on no topic."""
        return self._cities.get(post_id)

    def until(self, positions: Sequence[StreamPosition], city: str) -> Programme | None:
        """All that is known of a city before positions, each at another broker; `None` where not all of it was read."""
        programme = Programme()
        for position in positions:
            ends = dict(zip(TOPIC_ORDER, position.offsets, strict=True))
            broker, partition = position.cluster, position.partition
            if any(end > self._ends.get((broker, partition, topic), 0) for topic, end in ends.items()):
                return None
            for topic, offset, fact in self._placed[broker, partition, city]:
                if offset < ends[topic]:
                    programme.learn(fact)
        return programme if positions else None


def published_rankings(topics: Topics) -> list[Ranking]:
    """Rankings as they were published, each once."""
    found: dict[str, Ranking] = {}
    for message, envelope in topics.events():
        event = envelope.event
        if isinstance(event, RankingChanged) and event.policy is not None and not message.injected:
            found[envelope.id] = Ranking(
                at_s=0.0,
                instance="topic",
                post_id=event.post_id,
                positions=() if event.position is None else (event.position,),
                at=event.as_of.isoformat(),
                policy=(event.policy.city, event.policy.version),
                top=tuple(Place(one.seeker_id, one.score, tuple(one.parts.model_dump().values())) for one in event.top),
                limit=PUBLISHED_PLACES,
            )
    return list(found.values())


def rankings_are_right(name: str, rankings: Iterable[Ranking], facts: Facts) -> Ranks:
    """Hold rankings against the pure function, and against what their readers asked to see."""
    check = Check(name)
    unverified = 0
    for ranking in rankings:
        positions = [StreamPosition.parse(text) for text in ranking.positions]
        programme = facts.until(positions, facts.city_of(ranking.post_id) or "")
        if programme is None:
            unverified += 1
            continue
        _compare(check, ranking, programme)
    return Ranks(check, unverified)


def _compare(check: Check, ranking: Ranking, programme: Programme) -> None:
    view = view_of(programme, datetime.fromisoformat(ranking.at))
    opening = view.openings.get(ranking.post_id)
    where = f"{ranking.instance}: {ranking.post_id} at {', '.join(ranking.positions)}"
    if opening is None:
        check.count += 1
        if ranking.top:
            check.fail(f"{where}: ranked, and not open there")
        return
    policy = view.policy_of(opening.city)
    wanted = rank_post(policy, opening, view.candidates.values(), ranking.limit)
    check.compare(
        where,
        (ranking.policy, _plainly(ranking.top)),
        ((policy.city, policy.version), [(one.seeker_id, one.score, tuple(one.parts)) for one in wanted]),
    )
    if ranking.after is not None and not _shows(programme, Position.parse(ranking.after)):
        check.fail(f"{where}: does not show {ranking.after}, which its reader asked for")


def _plainly(top: Sequence[Place]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(one.seeker_id, one.score, one.parts) for one in top]


def _shows(programme: Programme, position: Position) -> bool:
    known: Mapping[str, Fact] = programme.of_kind(KIND_OF_TOPIC[position.topic])
    return position.entity_id in known and known[position.entity_id].version >= position.version
