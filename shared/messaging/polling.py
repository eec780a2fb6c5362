"""What the client library has fetched, a few messages at a time and decoded; and how long its next fetch may wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

from shared.contracts.envelope import Decode
from shared.messaging.records import AT_ONCE, Record, records_of

POLL_MS = 100
"""Longest wait for records in one poll; what comes ends it at once."""

FETCH_WAIT_MIN_MS = 20
"""Wait of a fetch while records come one after the other. The embedded broker looks at once and after half of it. At
any broker, topics that have just been read are asked for again only once the fetch for the quiet ones has ended."""

FETCH_WAIT_SHARE = 0.1
"""Share of a silence that a fetch waits for its end, up to the setting `fetch_max_wait_ms`. Apache Kafka answers with
the first record, however long a fetch may wait. The embedded broker only looks now and then: what ends a silence comes
late there by half of the wait at most, a twentieth of that silence. So an idle service costs next to nothing."""

FETCH_STEPS = 6
"""Steps of the event loop that the client needs to send its next fetch, once it has given all that it had. They are
given to it before the batch is worked off, so that the broker answers meanwhile."""


class Polling:
    """Asks a client of aiokafka for records.

    Args:
        batch_max: messages of one batch.
        fetch_max_wait_ms: longest wait of a fetch, in a silence.
    """

    def __init__(self, decode: Decode, batch_max: int, fetch_max_wait_ms: int) -> None:
        self._decode = decode
        self._batch_max = batch_max
        self._fetch_max_wait_ms = fetch_max_wait_ms
        self._came_s = time.monotonic()

    async def batch(self, client: Any) -> AsyncIterator[list[Record]]:
        """The next records as soon as there are some, `AT_ONCE` at a time; none after `POLL_MS` without.

        Raises:
            KafkaError: of the client; it counts what was given before as consumed.
        """
        timeout_ms, most, count = POLL_MS, min(AT_ONCE, self._batch_max), 0
        while most:
            polled = await client.getmany(timeout_ms=timeout_ms, max_records=most)
            now_s = time.monotonic()
            if polled:
                self._came_s = now_s
            # The client's next fetch begins after this step of the event loop, so that this is the wait of that one.
            client._fetcher._fetch_max_wait_ms = fetch_wait_ms(now_s - self._came_s, self._fetch_max_wait_ms)
            records = records_of(chain.from_iterable(polled.values()), self._decode)
            if records:
                yield records
            count += len(records)
            if len(records) < most:
                break
            timeout_ms, most = 0, min(most, self._batch_max - count)
        if most and count:
            for _ in range(FETCH_STEPS):
                await asyncio.sleep(0)


def fetch_wait_ms(silent_s: float, max_ms: int) -> int:
    """How long a fetch may wait for records.

    Args:
        silent_s: time since the last ones came.
        max_ms: the longest wait.
    """
    return min(max(FETCH_WAIT_MIN_MS, int(silent_s * 1000 * FETCH_WAIT_SHARE)), max_ms)
