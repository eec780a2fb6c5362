"""How many records of a batch are applied in one piece, so that it takes its time.

A batch holds the records of one topic after those of another, and one of these may cost many times what one of those
does: a post that opens in a large city moves thousands of lists, a shift a few. So what a record takes is
learnt for each topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.messaging.records import Record

SLICE_MAX = 512
"""Most records of a slice, however fast the last ones were: the next ones may each touch a thousand lists."""

UNKNOWN_S = 0.000_125
"""What a record of a topic is taken to need before one was seen."""

GROWTH_MAX = 2.0
"""A slice is at most so many times what the last ones let expect: they may have been easy ones."""


class Pace:
    """What the records of each topic take, in seconds."""

    def __init__(self) -> None:
        self._cost_s: dict[str, float] = {}

    def fitting(self, records: Sequence[Record], aim_s: float) -> int:
        """How many of the first records to take so that they need about so long; at least one."""
        left_s = aim_s
        for count, record in enumerate(records[:SLICE_MAX]):
            left_s -= self._cost_s.get(record.topic, UNKNOWN_S)
            if left_s < 0:
                return max(count, 1)
        return min(len(records), SLICE_MAX)

    def learn(self, records: Iterable[Record], took_s: float, aim_s: float) -> None:
        """Take note of what some records took.

        The few that had come say nothing of more, since most of their time is what any slice costs; unless they took
        longer than they should.

        Args:
            aim_s: what they were to take.
        """
        expected_s: dict[str, float] = {}
        for record in records:
            topic = record.topic
            expected_s[topic] = expected_s.get(topic, 0.0) + self._cost_s.get(topic, UNKNOWN_S)
        total_s = sum(expected_s.values())
        if took_s <= aim_s and total_s < aim_s / 2:
            return
        ratio = max(took_s / total_s, 1 / GROWTH_MAX)
        for topic, share_s in expected_s.items():
            cost_s = self._cost_s.get(topic, UNKNOWN_S)
            self._cost_s[topic] = cost_s * ratio ** (share_s / total_s)
