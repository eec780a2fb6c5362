"""Decoding one message with all checks of headers, key and value: for a service that reads whole topics, and others."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from bench.measure import Measured
from shared.contracts import envelope, fast
from shared.contracts.envelope import Message
from shared.contracts.examples import EXAMPLES

TOPICS = ("shift-completed", "seeker-registered", "post-opened")
"""The topic with most messages of a programme, and the two with the longest that matching reads."""

CALLS, TURNS = 500, 20
"""The sides take turns, and the best turn of each counts: what else the machine does at the time slows them all."""


async def bench_decode(round_number: int) -> list[Measured]:
    """One round, the same for all numbers: the messages are the published examples."""
    measured: list[Measured] = []
    for topic in TOPICS:
        ours, models, bare = _rates(envelope.encode(EXAMPLES[topic]))
        measured += [
            Measured(f"decode {topic}, all checks", ours, models, "messages/s", "by the pydantic models"),
            Measured(f"decode {topic}", ours, bare, "messages/s", "msgspec reads the JSON, with no check at all"),
        ]
    return measured


def _rates(message: Message) -> list[float]:
    """Messages a second: by `fast.decode`, by `envelope.decode`, and the JSON alone."""
    headers = list(message.headers)  # as the broker's client hands them out
    sides: list[Callable[[], object]] = [
        lambda: fast.decode(message.topic, message.key, headers, message.value),
        lambda: envelope.decode(message.topic, message.key, headers, message.value),
        lambda: msgspec.json.decode(message.value),
    ]
    best = [0.0] * len(sides)
    for _ in range(TURNS):
        for place, side in enumerate(sides):
            started = time.perf_counter()
            for _ in range(CALLS):
                side()
            best[place] = max(best[place], CALLS / (time.perf_counter() - started))
    return best
