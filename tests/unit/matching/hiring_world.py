"""A world for the tests of instant hiring: rankings by the pure rules, offers in memory, a registry that can fail.

Everything that would wait for a database or a network gives way once, so that a test can let other steps run there.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from services.matching.domain import (
    Candidate,
    EntityKind,
    Fact,
    Opening,
    Placement,
    Programme,
    RankedSeeker,
    View,
    policy_on,
    rank_post,
    view_of,
)
from services.matching.domain.hiring import Hiring
from services.matching.domain.offers import Hands, Offer, Terms
from services.matching.errors import LostRaceError, RegistryUnavailable
from services.matching.hiring import Attendance, Hirings, answering
from services.matching.hiring.loop import HiringTerms
from services.matching.ports import Counts, Declined, OfferBook, OfferChanges, Placed, ShiftSeen
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.contracts.matching import OfferMade, OfferSettled
from shared.kernel.errors import Fault
from tests.unit.matching.cities import NOW, YANTAI, post, seeker
from tests.unit.matching.wire import id_of

T = TypeVar("T")


@types.coroutine
def give_way() -> Generator[None, None, None]:
    """Let others run: under asyncio at once, under a test's own hand when it says so."""
    yield


class SlowBoard:
    """Rankings by the definition (`domain.ranking`), made anew for each instant and each new fact."""

    def __init__(self, programme: Programme, at: datetime) -> None:
        self._programme = programme
        self.view: View = view_of(programme, at)
        self._policy = policy_on(YANTAI, self.view.day)

    def urgent(self) -> Iterable[str]:
        return [id_ for id_, it in self.view.openings.items() if it is not None and it.post.urgent and it.available]

    def opening(self, post_id: str) -> Opening | None:
        return self.view.openings.get(post_id)

    def candidate(self, seeker_id: str) -> Candidate | None:
        return self.view.candidates.get(seeker_id)

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        found = self.candidate(seeker_id)
        return None if found is None else found.posts

    def ranking(self, post_id: str, limit: int) -> Sequence[RankedSeeker]:
        return rank_post(self._policy, self.opening(post_id), self.view.candidates.values(), limit)

    def version_of(self, kind: EntityKind, id_: str) -> int:
        fact = self._programme.of_kind(kind).get(id_)
        return 0 if fact is None else fact.version

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        fact = self._programme.of_kind(kind).get(id_)
        return None if fact is None else fact.city


@dataclass
class Held:
    """What is stored; every value in it is frozen."""

    hirings: dict[str, Hiring] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    hands: dict[str, Hands] = field(default_factory=dict)

    def copy(self) -> Held:
        return Held(dict(self.hirings), dict(self.offers), dict(self.hands))


class MemoryBook:
    """One transaction: reads a snapshot, and writes what the store then compares with what is there."""

    def __init__(self, seen: Held) -> None:
        self.seen = seen
        self.changes = OfferChanges()

    async def hiring(self, post_id: str) -> Hiring | None:
        await give_way()
        return self.seen.hirings.get(post_id)

    async def offer(self, offer_id: str) -> Offer | None:
        await give_way()
        return self.seen.offers.get(offer_id)

    async def unsettled(self, post_id: str) -> Sequence[Offer]:
        await give_way()
        return [o for o in self.seen.offers.values() if o.post_id == post_id and o.state != "settled"]

    async def asked(self, hiring: Hiring) -> Collection[str]:
        await give_way()
        offers = self.seen.offers.values()
        return {o.seeker_id for o in offers if (o.post_id, o.round) == (hiring.post_id, hiring.round)}

    async def hands(self, seeker_ids: Collection[str]) -> Mapping[str, Hands]:
        await give_way()
        return {id_: self.seen.hands.get(id_, Hands(id_, 0)) for id_ in seeker_ids}

    async def settling_event(self, offer: Offer) -> str:
        return f"evt-{offer.id}"

    async def save(self, changes: OfferChanges, at: datetime) -> Sequence[Envelope]:
        await give_way()
        self.changes = changes
        return [Envelope(id_of("evt", number), at, event) for number, event in enumerate(changes.events)]


class MemoryOffers:
    """The store: snapshots, and of two transactions that write the same thing the second runs again, as in MongoDB."""

    def __init__(self) -> None:
        self.held = Held()
        self.events: list[Event] = []
        self.conflicts = 0

    async def prepare(self) -> None: ...

    async def transaction(self, work: Callable[[OfferBook], Awaitable[T]]) -> T:
        while True:
            book = MemoryBook(self.held.copy())
            result = await work(book)
            await give_way()
            if self._commit(book):
                return result
            self.conflicts += 1

    def _commit(self, book: MemoryBook) -> bool:
        """Store what a transaction wrote, unless something of it was written since its snapshot."""
        changes, held = book.changes, self.held
        writes: list[tuple[dict[str, Any], dict[str, Any], str, Any, Any]] = []
        writes += [(held.hirings, book.seen.hirings, is_.post_id, was, is_) for was, is_ in changes.hirings]
        writes += [(held.offers, book.seen.offers, is_.id, was, is_) for was, is_ in changes.offers]
        writes += [(held.hands, book.seen.hands, is_.seeker_id, was, is_) for was, is_ in changes.hands]
        keys = [(id(table), key) for table, _, key, _, _ in writes]
        assert len(set(keys)) == len(keys), "one write of each thing"
        for table, seen, key, was, becomes in writes:
            if table.get(key) != seen.get(key):
                return False
            before = 0 if was is None else was.lock
            assert (seen[key].lock if key in seen else 0) == before, "it was read in this transaction"
            assert becomes.lock == before + 1, "each write raises the lock by one"
        once = {(o.post_id, o.round, o.seeker_id) for o in held.offers.values()}
        for was, becomes in changes.offers:
            if was is None and (becomes.post_id, becomes.round, becomes.seeker_id) in once:
                raise LostRaceError
        for table, _, key, _, becomes in writes:
            table[key] = becomes
        self.events += changes.events
        return True

    async def hirings(self, post_ids: Collection[str]) -> Sequence[Hiring]:
        await give_way()
        return [self.held.hirings[id_] for id_ in post_ids if id_ in self.held.hirings]

    async def open_hirings(self, after: str, limit: int) -> Sequence[Hiring]:
        await give_way()
        found = [h for id_, h in sorted(self.held.hirings.items()) if id_ > after and h.state == "open"]
        return found[:limit]

    async def unsettled_of(self, post_ids: Collection[str]) -> Sequence[Offer]:
        await give_way()
        return [o for o in self.held.offers.values() if o.post_id in post_ids and o.state != "settled"]

    async def posts_with_expired(self, now: datetime, limit: int) -> Sequence[str]:
        await give_way()
        due = [o for o in self.held.offers.values() if o.state == "live" and o.expires_at <= now]
        return list(dict.fromkeys(o.post_id for o in due[:limit]))

    async def accepting(self, asked_before: datetime, limit: int) -> Sequence[Offer]:
        await give_way()
        left = [o for o in self.held.offers.values() if o.state == "accepting"]
        return [o for o in left if o.accepting_at is None or o.accepting_at <= asked_before][:limit]

    async def missed(self, limit: int) -> Sequence[Offer]:
        await give_way()
        offers = self.held.offers.values()
        return [o for o in offers if o.attendance == "missed" and o.placement_id is not None][:limit]

    async def awaited(self) -> Collection[tuple[str, str]]:
        offers = self.held.offers.values()
        return {(o.post_id, o.seeker_id) for o in offers if o.state != "settled" or o.attendance == "awaited"}

    async def note_shifts(self, seen: Sequence[ShiftSeen]) -> int:
        noted = 0
        for shift in seen:
            for offer in list(self.held.offers.values()):
                pair = (offer.post_id, offer.seeker_id) == (shift.post_id, shift.seeker_id)
                waits = offer.attendance == "awaited" or (shift.came and offer.attendance == "missed")
                if pair and waits and offer.placement_id in (None, shift.placement_id):
                    self.held.offers[offer.id] = replace(
                        offer,
                        lock=offer.lock + 1,
                        attendance="came" if shift.came else "missed",
                        noted_of=shift.placement_id,
                        missed_on=None if shift.came else shift.day,
                    )
                    noted += 1
        return noted

    async def counts(self) -> Counts:
        held = self.held
        waiting = [h for h in held.hirings.values() if h.state == "open" and h.progress == "waiting"]
        return Counts(sum(o.state != "settled" for o in held.offers.values()), len(waiting))

    # --- for assertions ---

    @property
    def offers(self) -> list[Offer]:
        return list(self.held.offers.values())

    def by_state(self, state: str) -> list[Offer]:
        return [o for o in self.offers if state in (o.state, o.outcome)]

    def made(self) -> list[OfferMade]:
        return [event for event in self.events if isinstance(event, OfferMade)]

    def settled(self) -> list[OfferSettled]:
        return [event for event in self.events if isinstance(event, OfferSettled)]


@dataclass
class MemoryRegistry:
    """The registry's rule: a seat is taken once, her hours are taken once, one key has one effect.

    Attributes:
        seats: of each post.
        active: placements that hold a seat, by id.
        news: facts that the rankings have not seen yet.
        before, after: errors to raise, before anything happened or after it has.
        refusal: answer for whoever asks while it is set.
    """

    seats: dict[str, int] = field(default_factory=dict)
    active: dict[str, Offer] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    news: list[Fact] = field(default_factory=list)
    before: list[RegistryUnavailable] = field(default_factory=list)
    after: list[RegistryUnavailable] = field(default_factory=list)
    refusal: Declined | None = None
    asked: int = 0
    released: list[tuple[str, date]] = field(default_factory=list)

    async def place(self, offer: Offer) -> Placed | Declined:
        await give_way()
        if self.before:
            raise self.before.pop()
        self.asked += 1
        answer = self._decide(offer)
        await give_way()
        if self.after:
            raise self.after.pop()
        return answer

    def _decide(self, offer: Offer) -> Placed | Declined:
        assert offer.terms is not None
        if offer.id in self.placed:
            return Placed(self.placed[offer.id])
        if self.refusal is not None:
            return self.refusal
        hers = [other for other in self.active.values() if other.seeker_id == offer.seeker_id]
        if any(other.post_id == offer.post_id for other in hers):
            return declined("already-placed")
        if any(other.terms and other.terms.hours & offer.terms.hours for other in hers):
            return declined("hours-overlap")
        if sum(other.post_id == offer.post_id for other in self.active.values()) >= self.seats[offer.post_id]:
            return declined("no-seat-left")
        placement_id = id_of("plc", len(self.placed) + 1)
        self.placed[offer.id] = placement_id
        self.active[placement_id] = offer
        state = Placement(offer.post_id, offer.seeker_id, offer.terms.hours)
        self.news.append(Fact("placement", placement_id, 1, YANTAI, state))
        return Placed(placement_id)

    async def release(self, offer: Offer, last_day: date) -> Declined | None:
        await give_way()
        if self.before:
            raise self.before.pop()
        assert offer.placement_id is not None
        self.released.append((offer.placement_id, last_day))
        self.end(offer.placement_id)
        return None

    def end(self, placement_id: str) -> None:
        """The seat is free again."""
        if self.active.pop(placement_id, None) is not None:
            self.news.append(Fact("placement", placement_id, 2, YANTAI, None))


def declined(code: str) -> Declined:
    return Declined(code, "…", (Fault("post_id", "…"),))


class Town:
    """Seekers, posts, one store, one registry, and as many instances of the loop as a test asks for."""

    def __init__(self, *, per_seat: int = 1, expiry_minutes: int = 15) -> None:
        self.now = NOW
        self.programme = Programme()
        self.offers, self.registry = MemoryOffers(), MemoryRegistry()
        self.terms = HiringTerms(per_seat, expiry_minutes)
        self.attendance = Attendance(self.offers)
        self.hirings = self.instance()
        self._numbers = 0

    def instance(self, interval_ms: int = 10) -> Hirings:
        """One more process with the loop."""
        return Hirings(
            self.offers,
            self.registry,
            self.board,
            self.attendance,
            self.terms,
            lambda: self.now,
            self._new_id,
            interval_ms,
        )

    def board(self, now: datetime) -> SlowBoard:
        return SlowBoard(self.programme, now)

    def _new_id(self, entity: str) -> str:
        self._numbers += 1
        return id_of("ofr", self._numbers)

    def learn(self, *facts: Fact) -> None:
        for fact in facts:
            self.programme.learn(fact)

    def catch_up(self) -> None:
        """The rankings take in what the registry told."""
        self.learn(*self.registry.news)
        self.registry.news.clear()

    def open(self, number: int, *, version: int = 1, **given: object) -> str:
        """A post, urgent unless said otherwise; the lower its number, the sooner it was opened."""
        state = post(**{"urgent": True, "seats": 1, **given})
        self.learn(Fact("post", id_of("pst", number), version, YANTAI, state))
        self.registry.seats[id_of("pst", number)] = state.seats
        return id_of("pst", number)

    def join(self, *numbers: int, **given: object) -> list[str]:
        """Seekers who all match, the lower the number the better: they differ in how long they have waited."""
        for number in numbers:
            her = seeker(**{"registered_at": NOW - timedelta(weeks=20) + timedelta(minutes=number), **given})
            self.learn(Fact("seeker", id_of("skr", number), 1, YANTAI, her))
        return [id_of("skr", number) for number in numbers]

    async def tick(self, minutes: int = 0) -> None:
        """Time passes, the rankings catch up, and the loop does what is due."""
        self.now += timedelta(minutes=minutes)
        self.catch_up()
        await self.hirings.tick()

    async def yes(self, offer: Offer, command: str = "", hirings: Hirings | None = None, **given: Any) -> Offer:
        """Her yes, carried to the registry and back as the route does it."""
        terms = Terms(**{"hours": offer.hours, "starts_on": self.now.date(), **given})
        asked = await self.offers.transaction(
            lambda book: answering.say_yes(book, offer.id, terms, command or f"yes {offer.id}", self.now)
        )
        if asked.state == "settled":
            return asked
        after, answer = await (hirings or self.hirings).ask(asked)
        if isinstance(answer, Declined):
            raise answering.verdict(after, answer)
        return after

    async def no(self, offer: Offer) -> None:
        await self.offers.transaction(lambda book: answering.say_no(book, offer.id, self.now))

    def live(self) -> list[Offer]:
        return sorted(self.offers.by_state("live"), key=lambda offer: offer.id)
