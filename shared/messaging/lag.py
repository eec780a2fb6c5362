"""How far a subscription is behind, for its metric and the alert on it.

Each fetch tells where a partition ends. A partition that is not fetched shows nothing new by itself: its batch hangs,
its state is being loaded, the group does not agree, the client broke. Then the broker is asked for the end, so that a
consumer that stands still is seen to fall behind.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.messaging.connection import Connection
from shared.messaging.reading import stop_reading
from shared.messaging.records import PLACE, Record
from shared.runtime import metrics
from shared.runtime.logs import logger
from shared.runtime.supervised import Abandoned, came_to_its_end

SHOW_S = 1.0
"""Pause between looks: below any pause between scrapes. One after every batch took a hundredth of a busy processor."""

ASK_S = 5.0
"""Age of an end from which on the broker is asked for it, and the pause between such questions: a third of the usual
pause between scrapes. A healthy consumer fetches several times a second and never asks."""

ASK_TIMEOUT_MS = 2_000
"""How long each answer is awaited; a broker that needs longer is asked again with the next question."""

_log = logger(__name__)


class Lag:
    """Messages between what has taken effect and the ends of the partitions that this instance holds.

    What it held last stays its own until it is told what it holds now: while a connection is built again and while the
    group finds no agreement, nobody else answers for it.
    """

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._cluster_id = ""
        self._next: dict[TopicPartition, int] = {}
        self._at_hand: dict[tuple[str, int], int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._stale: list[TopicPartition] = []
        self._is_answered = True
        self._shown_s = -math.inf
        self._shown_of: Any | None = None

    def attach(self, cluster_id: str) -> None:
        """A connection begins; a broker of another identity has its offsets begin at 0.

        Args:
            cluster_id: the broker's identity.
        """
        self._at_hand.clear()
        if cluster_id != self._cluster_id:
            self._cluster_id = cluster_id
            self._next = dict.fromkeys(self._next, 0)
            self._ends.clear()

    def take(self, records: Iterable[Record]) -> None:
        """Records are at hand; the client counts them as consumed, and nothing of them has taken effect."""
        for place, run in groupby(records, PLACE):
            self._at_hand.setdefault(place, next(run).offset)

    def advance(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """A part of the batch has taken effect.

        Args:
            offsets: of what comes next, by topic and partition.
        """
        self._at_hand.update(offsets)

    def settle(self) -> None:
        """All that the client has given has taken effect, or is to be given again."""
        self._at_hand.clear()

    def look(self, client: Any | None) -> None:
        """A batch came to its end: bring the metric up to date, unless that was done with this client a moment ago.

        Args:
            client: as in `show`.
        """
        if client is not self._shown_of or time.monotonic() - self._shown_s >= SHOW_S:
            self.show(client)

    async def tell(self, broker: Connection, client: Callable[[], Any | None]) -> None:
        """Keep the metric up to date, whether or not anything is consumed, until cancelled.

        Args:
            client: as in `show`.
        """
        asked_s = time.monotonic()
        while True:
            await asyncio.sleep(SHOW_S)
            self.show(client())
            if time.monotonic() - asked_s >= ASK_S:
                await self._ask(broker)
                asked_s = time.monotonic()

    def show(self, client: Any | None) -> None:
        """Bring the metric up to date.

        Args:
            client: aiokafka's consumer; `None` until it was told what it holds.
        """
        self._shown_s, self._shown_of = time.monotonic(), client
        self._stale = list(self._next) if client is None else self._known_of(client)
        lags: Counter[str] = Counter()
        for partition, offset in self._next.items():
            lags[partition.topic] += max(self._ends.get(partition, 0) - offset, 0)
        for topic in self._topics:
            metrics.CONSUMER_LAG.labels(topic).set(lags[topic])

    def _known_of(self, client: Any) -> list[TopicPartition]:
        """Note what the client holds and knows; returns the partitions whose ends it has not heard of lately."""
        held: dict[TopicPartition, int] = {}
        stale: list[TopicPartition] = []
        now_ms = time.time() * 1000
        for partition in client.assignment():
            state = client._subscription.subscription.assignment.state_value(partition)
            known = [at for at in (state._position, self._at_hand.get(partition)) if at is not None]
            if known:
                held[partition] = min(known)
            # A clock that was set makes an end look old, never new.
            is_fresh = state.timestamp is not None and abs(now_ms - state.timestamp) < ASK_S * 1000
            if is_fresh:
                self._ends[partition] = state.highwater
            else:
                stale.append(partition)
        self._next = held
        return stale

    async def _ask(self, broker: Connection) -> None:
        """Have the broker tell the ends that no fetch told of lately; what it does not answer stays as it was.

        A broker that is away is told of once, not with each question.
        """
        if not self._stale:
            return
        try:
            if not await came_to_its_end(self._ask_for(self._stale, broker)):
                raise Abandoned
        except (KafkaError, OSError, Abandoned) as error:
            if self._is_answered:
                _log.warning("ends of partitions not known; the lag may be higher", error=type(error).__name__)
            self._is_answered = False
        else:
            self._is_answered = True

    async def _ask_for(self, asked: Sequence[TopicPartition], broker: Connection) -> None:
        """With a client of its own: that of the consumer may be what stands still."""
        client = AIOKafkaConsumer(**broker.arguments(), request_timeout_ms=ASK_TIMEOUT_MS)
        try:
            await client.start()
            # A topic that is not there is not asked for: a broker may make it then.
            topics = await client.topics()
            for part, end in (await client.end_offsets([part for part in asked if part.topic in topics])).items():
                # The embedded broker tells an end within the last batch; a fetch told the true one.
                self._ends[part] = max(end, self._ends.get(part, 0))
        finally:
            await stop_reading(client)
