"""The loop of instant hiring: starts what is urgent, ends what is over, offers what is free, finishes what was left.

Everything that it does can be done again, by it or by another instance at the same time: each step is one transaction
that reads what it changes. It works on the posts whose rankings this process has.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from services.matching import metrics
from services.matching.domain.hiring import Hiring, plan
from services.matching.domain.offers import ANSWER_WITHIN, Offer
from services.matching.errors import LostRaceError, RegistryUnavailable
from services.matching.hiring import answering, offering
from services.matching.hiring.attendance import Attendance
from services.matching.hiring.steps import count
from services.matching.ports import Board, Declined, OfferBook, Offers, Placed, Registry
from shared.kernel.clock import Clock
from shared.kernel.errors import ServiceError
from shared.kernel.ids import NewId
from shared.runtime.logs import logger
from shared.runtime.supervised import supervised

LOOKS_MAX = 100
"""Hirings that one tick writes to: about half a second of transactions, during which readers are served."""

STARTS_MAX = 100
"""Urgent posts whose hiring one tick starts; the rest follows with the next."""

PAGE_MAX = 500
"""Open hirings that one tick reads and judges. More are judged in turn."""

JUDGING_MAX_S = 0.05
"""Time that one tick judges for, a tenth of the pause between two: of a hiring that waits, the first places of its
ranking are made anew. What is left comes with the next tick, so that the thousands of a large city take no more."""

JUDGED_AT_ONCE = 4
"""Hirings that are judged before others may run: a few milliseconds in a busy city, since a reader waits meanwhile."""

ASKS_MAX = 20
"""Answers of the registry that one tick goes after: each is a request of some ten milliseconds."""

AGAIN_AFTER = timedelta(seconds=30)
"""A hiring that found nobody is tried again after this long even if nobody came into its ranking: somebody may have
refused another offer for the same hours meanwhile. Before, only the first places are looked at, and only when somebody
is there who was not: in a busy city scores change with every tick, and to go down further takes milliseconds."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class HiringTerms:
    """How urgent posts are offered: offers for each free seat, and minutes until one runs out."""

    per_seat: int
    expiry_minutes: int


class Hirings:
    """Instant hiring, in the background.

    `state` is `up`, and `down` if it ended by a defect, which is logged. `terms` are those of urgent posts.

    Args:
        board: the rankings as of an instant; raises `StartingError` until they are there.
    """

    def __init__(
        self,
        offers: Offers,
        registry: Registry,
        board: Callable[[datetime], Board],
        attendance: Attendance,
        terms: HiringTerms,
        clock: Clock,
        new_id: NewId,
        interval_ms: int,
    ) -> None:
        self._offers = offers
        self._registry = registry
        self.board = board
        self._attendance = attendance
        self.terms = terms
        self._clock = clock
        self._new_id = new_id
        self._interval_s = interval_ms / 1000
        self._woken: dict[str, None] = {}
        self._started: set[str] = set()
        self._nobody: dict[str, tuple[frozenset[str], datetime]] = {}
        self._after = ""
        self._due = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.state = "up"

    # --- in the background ---

    def start(self, prepared: asyncio.Future[None]) -> None:
        """Begin, in the background, once the store is prepared."""
        self._task = supervised(self._run(prepared), "instant hiring", self._ended_by_defect)

    async def stop(self) -> None:
        """End after the step at hand; a request to the registry is given up, and finished after the next start."""
        self._stopped.set()
        self._due.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def wake(self, post_id: str) -> None:
        """Look at a hiring soon: something about it has changed."""
        self._woken[post_id] = None
        self._nobody.pop(post_id, None)
        self._due.set()

    def _ended_by_defect(self) -> None:
        self.state = "down"

    async def _run(self, prepared: asyncio.Future[None]) -> None:
        stopped = asyncio.create_task(self._stopped.wait())
        either: set[asyncio.Future[Any]] = {prepared, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if prepared.cancelled() or not prepared.done():
            return
        prepared.result()
        turn_s = time.monotonic()
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), max(turn_s - time.monotonic(), 0))
            self._due.clear()
            if self._stopped.is_set():
                return
            if time.monotonic() < turn_s:
                await self._try(self.look_at_woken)
                continue
            await self._try(self.tick)
            turn_s = time.monotonic() + self._interval_s

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """A failure that may pass is told and tried again with the next tick; any other ends the loop."""
        try:
            await work()
        except ServiceError as error:
            if not error.retryable:
                raise
            _log.warning("to be tried again", error=error.code)

    # --- what there is to do ---

    async def look_at_woken(self) -> None:
        """Look at the hirings that something was told about, some of them; all else waits for its tick, since who asks
        about all hirings whenever one of them changes does little else in a city that hires.

        Raises:
            StartingError, StoreUnavailable
        """
        now = self._clock()
        board = self.board(now)
        for post_id in self._take_woken():
            if board.city_of("post", post_id) is not None:
                await self._look(post_id, board, now)

    async def tick(self) -> None:
        """Do what is due now, a bounded part of it.

        Raises:
            StartingError, StoreUnavailable
        """
        now = self._clock()
        board = self.board(now)
        await self._start_urgent(board, now)
        await self._finish(now)
        await self._release()
        for post_id in await self._posts_due(board, now):
            await self._look(post_id, board, now)
        counts = await self._offers.counts()
        metrics.OFFERS_LIVE.set(counts.offers_unsettled)
        metrics.HIRINGS_WAITING.set(counts.hirings_waiting)

    async def _start_urgent(self, board: Board, now: datetime) -> None:
        """Start the hiring of urgent posts that have none; one that was cancelled stays so."""
        urgent = set(board.urgent())
        self._started &= urgent
        fresh = sorted(urgent - self._started)[:STARTS_MAX]
        if not fresh:
            return
        known = {hiring.post_id: hiring for hiring in await self._offers.hirings(fresh)}
        for post_id in fresh:
            city = board.city_of("post", post_id)
            if city is not None and (post_id not in known or known[post_id].state == "closed"):
                await self._offers.transaction(partial(self._start, post_id=post_id, city=city, now=now))
                self.wake(post_id)
            self._started.add(post_id)

    async def _finish(self, now: datetime) -> None:
        """Ask the registry for what was left without its answer, by a process that died or a registry that was away."""
        for left in await self._offers.accepting(now - ANSWER_WITHIN, ASKS_MAX):
            offer = await self._offers.transaction(partial(answering.take_up, offer_id=left.id, now=now))
            if offer is None:
                continue
            try:
                await self.ask(offer)
            except RegistryUnavailable as error:
                _log.warning("an acceptance waits for the registry", error=error.code)
                return

    async def ask(self, offer: Offer) -> tuple[Offer, Placed | Declined]:
        """Ask the registry for the seat of an offer that is being accepted, and note its answer.

        Raises:
            RegistryUnavailable: the offer stays as it is; the loop goes on asking.
        """
        answer = await self.ask_only(offer)
        return await self.note(offer, answer), answer

    async def ask_only(self, offer: Offer) -> Placed | Declined:
        """The registry's answer, not yet noted.

        Raises:
            RegistryUnavailable
        """
        try:
            return await self._registry.place(offer)
        except RegistryUnavailable as error:
            if not error.is_reached:
                with contextlib.suppress(ServiceError):  # it only saves a wait
                    await self._offers.transaction(lambda book: answering.lay_down(book, offer, self._clock()))
            raise

    async def note(self, offer: Offer, answer: Placed | Declined) -> Offer:
        """Note the registry's answer to what it was asked; answers with the offer as it is then."""
        after, changes, _ = await self._offers.transaction(
            lambda book: answering.conclude(book, offer, answer, self._clock())
        )
        count(changes)
        self.wake(after.post_id)
        return after

    async def _release(self) -> None:
        """Give back the seats of women who never came."""
        for offer in await self._offers.missed(ASKS_MAX):
            if offer.placement_id is None or offer.missed_on is None:
                continue
            try:
                declined = await self._registry.release(offer, offer.missed_on)
            except RegistryUnavailable as error:
                _log.warning("a seat to give back waits for the registry", error=error.code)
                return
            if declined is not None:
                _log.warning("the registry keeps a placement whose first shift was missed", code=declined.code)
            await self._offers.transaction(partial(answering.note_released, offer_id=offer.id, now=self._clock()))
            self.wake(offer.post_id)

    async def _posts_due(self, board: Board, now: datetime) -> list[str]:
        """Posts whose hiring has something to do: those told of, those with offers run out, then the next in turn."""
        due = dict.fromkeys(self._take_woken())
        due |= dict.fromkeys(await self._offers.posts_with_expired(now, LOOKS_MAX))
        page = await self._offers.open_hirings(self._after, PAGE_MAX)
        found, left_off = await self._with_work(page, board, now)
        self._after = left_off or (page[-1].post_id if len(page) == PAGE_MAX else "")
        due |= dict.fromkeys(found)
        here = [post_id for post_id in due if board.city_of("post", post_id) is not None]
        for post_id in here[LOOKS_MAX:]:
            self._woken.setdefault(post_id)
        return here[:LOOKS_MAX]

    def _take_woken(self) -> list[str]:
        """Posts whose hirings something was told about; the rest is taken the next time."""
        taken = list(self._woken)[:LOOKS_MAX]
        for post_id in taken:
            del self._woken[post_id]
        return taken

    async def _with_work(self, page: Sequence[Hiring], board: Board, now: datetime) -> tuple[Iterable[str], str | None]:
        """Hirings of a page at which a look would change something, and the last one judged if there was no time for
        all."""
        here = {hiring.post_id: hiring for hiring in page if board.city_of("post", hiring.post_id) is not None}
        unsettled: dict[str, list[Offer]] = {post_id: [] for post_id in here}
        for offer in await self._offers.unsettled_of(here) if here else ():
            unsettled[offer.post_id].append(offer)
        found, spent_s = [], 0.0
        for number, (post_id, hiring) in enumerate(here.items(), 1):
            started_s = time.perf_counter()
            judged = plan(
                hiring,
                board.opening(post_id),
                unsettled[post_id],
                lambda id_: offering.is_seen(board, id_),
                board.posts_of,
                now,
            )
            if judged.over or judged.ends or judged.seen or (judged.room and self._may_find(post_id, board, now)):
                found.append(post_id)
            spent_s += time.perf_counter() - started_s
            if spent_s > JUDGING_MAX_S and number < len(here):
                return found, post_id
            if number % JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found, None

    def _may_find(self, post_id: str, board: Board, now: datetime) -> bool:
        """Whether there may be somebody to offer a seat to, since the last look that found nobody."""
        seen, again_at = self._in_vain(post_id, now)
        return now >= again_at or not _top(board, post_id) <= seen

    def _in_vain(self, post_id: str, now: datetime) -> tuple[frozenset[str], datetime]:
        """Who was seen since the hiring found nobody, and when it goes down its ranking again."""
        return self._nobody.get(post_id, (frozenset(), now))

    async def _look(self, post_id: str, board: Board, now: datetime) -> None:
        seen, again_at = self._in_vain(post_id, now)
        is_deep = now >= again_at
        try:
            looked = await self._offers.transaction(
                lambda book: offering.look(book, post_id, board=board, now=now, new_id=self._new_id, is_deep=is_deep)
            )
        except LostRaceError:
            self._woken.setdefault(post_id)
            return
        self._nobody.pop(post_id, None)
        if looked is None:
            return
        found, changes = looked
        count(changes)
        fresh = [offer for was, offer in changes.offers if was is None]
        # Before the event of the first shift can come, which is after she has accepted.
        self._attendance.expect((offer.post_id, offer.seeker_id) for offer in fresh)
        if found.ends:
            self._started.discard(post_id)
        elif len(fresh) < found.room:
            top = _top(board, post_id)
            self._nobody[post_id] = (top, now + AGAIN_AFTER) if is_deep else (seen | top, again_at)

    async def _start(self, book: OfferBook, post_id: str, city: str, now: datetime) -> Hiring:
        terms = self.terms
        return await offering.start(
            book,
            post_id,
            city,
            per_seat=terms.per_seat,
            expiry_minutes=terms.expiry_minutes,
            is_asked=False,
            now=now,
        )


def _top(board: Board, post_id: str) -> frozenset[str]:
    return frozenset(place.seeker_id for place in board.ranking(post_id, offering.PAGE))
