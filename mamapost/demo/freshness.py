"""Check 4: how long it takes from the commit of a command to fresh rankings, measured from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from mamapost.demo.commands import Answered
from mamapost.demo.reader import Reader
from mamapost.demo.report import Check
from shared.contracts.registry import SeekerRegistered

PROBES = 100
"""Changes that are measured: p99 is the worst of them."""

WAIT_MS = 10_000
"""Longest freshness wait of one probe, the most that matching allows."""


@dataclass(slots=True)
class Freshness:
    """What the probes measured.

    Attributes:
        answer_ms: from sending the command to its answer (the commit lies before the answer).
        fresh_ms: from the command's answer to a ranking, read over HTTP, that shows it.
        topic_ms: from the moment of the change until the relay sends the event to its topic.
    """

    check: Check
    answer_ms: list[float] = field(default_factory=list)
    fresh_ms: list[float] = field(default_factory=list)
    topic_ms: list[float] = field(default_factory=list)


async def probe(
    registry: httpx.AsyncClient,
    matching: httpx.AsyncClient,
    reader: Reader,
    seeker_ids: Sequence[str],
    post_id: str,
    new_key: Callable[[int], str],
    on_probe: Callable[[], None],
) -> tuple[Freshness, list[Answered]]:
    """Change seekers one after the other, and wait each time until rankings show the change.

    Returns:
        What was measured, and the answers to the commands.
    """
    result = Freshness(Check("`after=` answered with fresh rankings"))
    answers = []
    for number, seeker_id in enumerate(seeker_ids[:PROBES]):
        sent = time.perf_counter()
        changed = await registry.post(
            f"/seekers/{seeker_id}/change",
            json={"commute_km": 5 + number % 20},
            headers={"Idempotency-Key": new_key(number)},
        )
        answered = time.perf_counter()
        answer = Answered.of(changed)
        fresh = await matching.get(
            f"/posts/{post_id}/ranking", params={"after": answer.position, "timeout_ms": str(WAIT_MS), "limit": "10"}
        )
        result.check.compare(f"answer for {answer.position}", fresh.status_code, 200)
        result.answer_ms.append((answered - sent) * 1000)
        result.fresh_ms.append((time.perf_counter() - answered) * 1000)
        answers.append(answer)
        on_probe()
    await reader.wait_for([answer.event_id for answer in answers], 30)
    wanted = {answer.event_id for answer in answers}
    for envelope in reader.of(SeekerRegistered):
        if envelope.id in wanted:
            result.topic_ms.append((reader.sent_at[envelope.id] - envelope.time).total_seconds() * 1000)
    return result, answers
