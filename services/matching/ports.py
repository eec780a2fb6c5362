"""What the use cases need of the outside."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from services.matching.domain import Candidate, EntityKind, Fact, Opening, Policy, RankedSeeker
from services.matching.domain.hiring import Hiring
from services.matching.domain.offers import Hands, Offer
from shared.contracts.envelope import Envelope
from shared.contracts.fields import Event
from shared.kernel.errors import Fault

T = TypeVar("T")


class News(Struct, frozen=True, gc=False):
    """A fact and the moment of the change that it tells of (the event's `ce_time`)."""

    fact: Fact
    at: datetime


DIGEST_BYTES = 8
"""Two tops of one post have the same digest once in 10^19; then a change waits for the next one."""


def digest_of(top: Sequence[RankedSeeker]) -> bytes:
    """What is remembered of a published top, so that memory need not hold the top of every post."""
    plain = [(place.seeker_id, place.score, *place.parts) for place in top]
    return hashlib.blake2b(repr(plain).encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Basis:
    """What a ranking is made of: whoever applies the rules to it gets the same ranking.

    Attributes:
        at: the instant.
        position: of the events, as text; `None` where it was published before positions were.
        policy: city (`*`: the common one) and version; `None` likewise.
    """

    at: datetime
    position: str | None = None
    policy: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """The top of a post's ranking as it is published."""

    post_id: str
    city: str
    sequence: int
    top: tuple[RankedSeeker, ...]
    basis: Basis

    @property
    def digest(self) -> bytes:
        """What is remembered of the top."""
        return digest_of(self.top)


class Noted(NamedTuple):
    """What is remembered of a post's last published ranking.

    Attributes:
        digest: of its top; `None`: unknown, so that it is published again.
    """

    sequence: int
    digest: bytes | None


class RankingOutbox(Protocol):
    """Where changed rankings are published from."""

    async def last_published(self, partition: int) -> Mapping[str, Noted]:
        """What was published last of a partition's posts, by post."""

    async def publish(self, changes: Sequence[Published], at: datetime) -> None:
        """Publish tops, each with the sequence after its last one, and note them, in one transaction.

        Raises:
            PublishedElsewhereError: a sequence is not the next one; nothing was published.
        """


class RankingLog(Protocol):
    """Every ranking that was ever published."""

    async def published(self, post_id: str, sequence: int | None = None) -> Published | None:
        """A post's ranking of a sequence, or the latest; `None` if it is not there. Raises `StoreUnavailable`."""


class Owner(NamedTuple):
    """Who answers for a partition.

    Attributes:
        instance: the process's name, the same after a restart.
        url: where its HTTP is reached.
        epoch: rises whenever the partition changes hands; an older one is no longer valid.
        is_wanted: another instance was given the partition and waits for it.
        position: where the rankings stood at the last renewal.
    """

    partition: int
    instance: str
    url: str
    epoch: int
    is_wanted: bool
    position: str | None


class Owners(Protocol):
    """Who answers for which partition: a lease each, by the clock of the store. Everything may raise
    `StoreUnavailable`."""

    async def prepare(self) -> str:
        """Make what must exist before the first use; may be repeated. Answers with the identity of the store."""

    async def take(self, partition: int, instance: str, url: str, lease_s: float, *, again: bool) -> Owner | None:
        """Own a partition that nobody owns; else say that it is wanted.

        Args:
            again: it may be owned by this very instance, from before its process was started.
        """

    async def renew(self, owned: Owner, lease_s: float) -> Owner | None:
        """Own it for longer, and note `position`; `None` if it has another owner or epoch by now."""

    async def release(self, owned: Owner) -> None:
        """Give it up at once."""

    async def of(self, instance: str) -> Sequence[Owner]:
        """What this instance owned last, whether or not its lease has run out."""

    async def all(self) -> Sequence[Owner]:
        """Those whose lease has not run out."""


class Adoption(NamedTuple):
    """A policy of a city, and when it was adopted."""

    policy: Policy
    adopted_at: datetime


class PolicyStore(Protocol):
    """Cities' policies inside one transaction: what was read is still so at the commit, or it runs again."""

    async def adopted(self, city: str) -> Sequence[Adoption]:
        """All policies of a city, oldest first."""

    async def save(self, city: str, adoptions: Sequence[Adoption]) -> None:
        """Keep a city's policies, the new one last."""

    async def publish(self, event: Event, at: datetime) -> Envelope:
        """Put an event into the outbox."""


class PolicyReads(Protocol):
    """Cities' policies outside transactions. Raises `StoreUnavailable`."""

    async def adopted(self, city: str) -> Sequence[Adoption]:
        """All policies of a city, oldest first."""


# --- instant hiring ---------------------------------------------------------------------------------------------------


class Board(Protocol):
    """The rankings, as instant hiring reads them; the engine is one. Every answer is of the same instant."""

    def urgent(self) -> Iterable[str]:
        """Posts marked urgent that take someone now, in no order."""

    def opening(self, post_id: str) -> Opening | None:
        """A post's profile; `None` if it is closed or unknown."""

    def candidate(self, seeker_id: str) -> Candidate | None:
        """A seeker's profile; `None` if she withdrew or is unknown."""

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        """Posts that a seeker is placed at; `None` if she withdrew or is unknown."""

    def ranking(self, post_id: str, limit: int) -> Sequence[RankedSeeker]:
        """The best seekers of a post, best first; a `limit` beyond the kept places looks at everybody."""

    def version_of(self, kind: EntityKind, id_: str) -> int:
        """Newest version that is known of an entity, 0 if none."""

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        """City of an entity, also of one that is over; `None` if it is unknown."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The registry gave her the seat."""

    placement_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The registry refused; the same request would be refused again while nothing else changes."""

    code: str
    detail: str
    faults: tuple[Fault, ...]


class Registry(Protocol):
    """The registry, which alone decides who has a seat."""

    async def place(self, offer: Offer) -> Placed | Declined:
        """Take the seat that was offered; asked again for the same offer, the answer is the same.

        Raises:
            RegistryUnavailable: there is no answer yet, or none that decides.
        """

    async def release(self, offer: Offer, last_day: date) -> Declined | None:
        """End the placement that came of an offer, since she never came; `None` once it is ended.

        Raises:
            RegistryUnavailable
        """


@dataclass(slots=True)
class OfferChanges:
    """What one step of hiring changes, each thing as it was read (`None`: new) and as it becomes."""

    hirings: list[tuple[Hiring | None, Hiring]] = field(default_factory=list)
    offers: list[tuple[Offer | None, Offer]] = field(default_factory=list)
    hands: list[tuple[Hands, Hands]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class OfferBook(Protocol):
    """Offers inside one transaction."""

    async def hiring(self, post_id: str) -> Hiring | None: ...

    async def offer(self, offer_id: str) -> Offer | None: ...

    async def unsettled(self, post_id: str) -> Sequence[Offer]:
        """A post's offers that are live or being accepted, of all rounds."""

    async def asked(self, hiring: Hiring) -> Collection[str]:
        """Seekers who were offered a seat in this round."""

    async def hands(self, seeker_ids: Collection[str]) -> Mapping[str, Hands]:
        """What these seekers hold; for one who never held anything, empty hands with lock 0."""

    async def settling_event(self, offer: Offer) -> str:
        """Id of the event that told of its settlement."""

    async def save(self, changes: OfferChanges, at: datetime) -> Sequence[Envelope]:
        """Write what changes, and its events.

        Raises:
            LostRaceError: something is no longer as it was read; nothing was stored.
        """


@dataclass(frozen=True, slots=True)
class Counts:
    """How many offers are not settled, and how many hirings wait for a candidate."""

    offers_unsettled: int
    hirings_waiting: int


class Offers(Protocol):
    """Offers between transactions. Everything may raise `StoreUnavailable`."""

    async def transaction(self, work: Callable[[OfferBook], Awaitable[T]]) -> T:
        """Run a step whole or not at all; it may run several times.

        Raises:
            LostRaceError, and what the step raises.
        """

    async def hirings(self, post_ids: Collection[str]) -> Sequence[Hiring]:
        """The hirings of these posts, as far as there are any."""

    async def open_hirings(self, after: str, limit: int) -> Sequence[Hiring]:
        """Open hirings in the order of their post ids, after one."""

    async def unsettled_of(self, post_ids: Collection[str]) -> Sequence[Offer]:
        """Offers of these posts that are live or being accepted."""

    async def posts_with_expired(self, now: datetime, limit: int) -> Sequence[str]:
        """Posts of live offers whose time has passed, the longest first."""

    async def accepting(self, asked_before: datetime, limit: int) -> Sequence[Offer]:
        """Offers that are being accepted, and that nobody is waiting for the registry's answer to."""

    async def missed(self, limit: int) -> Sequence[Offer]:
        """Offers whose placement is to be given back, since she never came."""

    async def awaited(self) -> Collection[tuple[str, str]]:
        """Post and seeker of every offer that is not settled, or was accepted and whose first shift is to come."""

    async def note_shifts(self, seen: Sequence[ShiftSeen]) -> int:
        """Note how first shifts went; answers for how many offers. A repetition changes nothing."""

    async def counts(self) -> Counts: ...


class OfferReads(Offers, Protocol):
    """Offers as the routes see them."""

    def book(self, session: Any) -> OfferBook:
        """The offers inside the transaction of a command."""

    async def offer(self, offer_id: str) -> Offer | None:
        """One offer."""

    async def list_of_post(self, post_id: str, state: str | None, after: str, limit: int) -> Sequence[Offer]:
        """Offers of a post in the order of their ids, after one."""

    async def list_of_seeker(self, seeker_id: str, state: str | None, after: str, limit: int) -> Sequence[Offer]:
        """Offers of a seeker in the order of their ids, after one."""


@dataclass(frozen=True, slots=True)
class ShiftSeen:
    """How a shift of a woman who was hired instantly went.

    Attributes:
        day: civil day on which it began.
    """

    post_id: str
    seeker_id: str
    placement_id: str
    came: bool
    day: date
