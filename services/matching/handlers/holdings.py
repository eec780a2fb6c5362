"""The partitions that are this instance's: events in, and everything that an assignment begins and ends."""

from __future__ import annotations

from services.matching.facts import Unusable, fact_of
from services.matching.handlers.checkpoints import LAST_MAX_S, Checkpoints
from services.matching.hiring import Attendance
from services.matching.ownership import Leases
from services.matching.ports import News
from services.matching.position import StreamPosition
from services.matching.use_cases import Live, Part, learn
from shared.kernel.clock import Clock
from shared.messaging.consume import Refusal
from shared.messaging.partitions import Offsets, Refuse, Slice
from shared.runtime.loading import collect_seldom
from shared.runtime.logs import logger

LOST_MAX = 3
"""Lost brokers that a state is carried over; each adds a position to every answer."""

COLLECT_AFTER = 30_000
"""Objects after which Python looks for cycles: above what a batch of 500 events makes. Of so many a search takes some
ten milliseconds."""

_log = logger(__name__)


class Holdings:
    """The `Partitions` of matching (see there for what each call means)."""

    def __init__(
        self, live: Live, checkpoints: Checkpoints, leases: Leases, clock: Clock, attendance: Attendance
    ) -> None:
        self._live = live
        self._checkpoints = checkpoints
        self._leases = leases
        self._clock = clock
        self._attendance = attendance
        self._is_closing = False

    async def assigned(self, partitions: frozenset[int], cluster_id: str) -> Offsets:
        """What is in memory goes on from there, the rest from its checkpoint."""
        live = self._live
        offsets: dict[tuple[str, int], int] = {}
        for number in sorted(partitions):
            part = live.parts.get(number)
            if part is None:
                part = await self._checkpoints.load(number)
            if part.cluster_id != cluster_id:
                # What is known stays: the refilled topics tell it again, and versions make old news harmless.
                if part.cluster_id:
                    _log.warning("the broker is a new one; reading its topics from their beginning", partition=number)
                    part.lost = (*part.lost, str(StreamPosition.of(part.cluster_id, number, part.offsets)))
                    part = self._remade(part)
                part.cluster_id = cluster_id
                part.offsets.clear()
            part.is_caught_up = False
            offsets |= {(topic, number): offset for topic, offset in part.offsets.items()}
        for number, part in live.parts.items():
            part.is_assigned = number in partitions
        live.is_assigned = True
        live.hands_changed()
        self._attendance.forget()
        self._leases.look()
        return offsets

    def _remade(self, part: Part) -> Part:
        """The partition, unless it has outlived so many brokers that it is better built anew."""
        if len(part.lost) <= LOST_MAX:
            return part
        _log.warning("built anew from the topics, after many lost brokers", partition=part.number)
        self._live.drop(part.number)
        fresh = self._live.parts[part.number] = Part(part.number, "", {})
        return fresh

    def placed(self, starts: Offsets) -> None:
        for (topic, number), offset in starts.items():
            self._live.parts[number].offsets[topic] = offset

    async def apply(self, piece: Slice, refuse: Refuse) -> None:
        """Translate, refuse what no rule can work with, then take in the rest and the position in one step."""
        news, refusals = [], []
        for envelope in piece.events:
            try:
                news.append(News(fact_of(envelope.event), envelope.time))
            except Unusable as error:
                refusals.append(Refusal(envelope, str(error)))
        if refusals:
            await refuse(refusals)
        # Before the position moves on, so that no first shift is read without being noted.
        await self._attendance.notice(envelope.event for envelope in piece.events)
        learn(news, piece.ends, live=self._live, clock=self._clock)

    def readers(self) -> int:
        return self._live.readers

    def caught_up(self, partition: int) -> None:
        self._live.parts[partition].is_caught_up = True
        self._leases.look()
        if all(part.is_caught_up for part in self._live.parts.values()):
            collect_seldom(COLLECT_AFTER)  # what is known by now mostly stays

    async def revoked(self, partitions: frozenset[int]) -> None:
        """Write down where it stands, so that whoever is next goes on from here.

        The state stays in memory and the leases are kept until somebody else wants them: most partitions come back
        with the next assignment, and until it is known which do, this instance's last answer is the freshest.
        """
        self._live.is_assigned = False
        for number in partitions & self._live.parts.keys():
            self._live.parts[number].is_assigned = False
        await self._checkpoints.write(LAST_MAX_S)
        if self._is_closing:
            await self._leases.give_up_all()

    def close(self) -> None:
        """The next end of the assignment is the last one."""
        self._is_closing = True

    async def settle(self) -> None:
        """After the connection was closed: whatever is still held is given up."""
        await self._checkpoints.write(LAST_MAX_S)
        await self._leases.give_up_all()
