"""Records in handfuls, and how long a fetch waits for them: never without a limit."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import decode
from shared.messaging.polling import FETCH_STEPS, FETCH_WAIT_MIN_MS, FETCH_WAIT_SHARE, Polling, fetch_wait_ms
from shared.messaging.records import AT_ONCE
from tests.unit.shared.client import Client

BATCH_MAX = 500

SILENCES = st.floats(0, 1e6)


@given(SILENCES, SILENCES, st.integers(FETCH_WAIT_MIN_MS, 5000))
def test_a_fetch_waits_a_share_of_the_silence_within_its_limits(one_s: float, other_s: float, max_ms: int) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert FETCH_WAIT_MIN_MS <= fetch_wait_ms(shorter, max_ms) <= fetch_wait_ms(longer, max_ms) <= max_ms
    # What ends a silence is late by no more than that share of it, or by the shortest wait.
    assert fetch_wait_ms(longer, max_ms) <= max(FETCH_WAIT_MIN_MS, longer * 1000 * FETCH_WAIT_SHARE)


def test_an_operator_may_ask_for_shorter_waits_than_ours() -> None:
    assert fetch_wait_ms(0.0, 5) == 5
    assert fetch_wait_ms(3600.0, 5) == 5


def polling() -> Polling:
    return Polling(decode, BATCH_MAX, 250)


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7, BATCH_MAX, BATCH_MAX + 1])
async def test_a_batch_is_taken_in_handfuls_and_nobody_waits_for_the_next_one(count: int) -> None:
    client = Client(count)
    handfuls = [few async for few in polling().batch(client)]
    assert [record.offset for few in handfuls for record in few] == list(range(min(count, BATCH_MAX)))
    assert all(0 < len(few) <= AT_ONCE for few in handfuls)
    assert all(timeout_ms == 0 for timeout_ms, _ in client.calls[1:]), "only for the first messages is waited"
    assert all(asked <= AT_ONCE for _, asked in client.calls)
    assert len(client.calls) <= -(-min(count + 1, BATCH_MAX) // AT_ONCE), "one that has no more is not asked again"


@pytest.mark.parametrize("count", [1, AT_ONCE + 1])
async def test_the_next_fetch_is_sent_before_a_batch_is_worked_off(count: int) -> None:
    """So the broker answers meanwhile: the client does it in its own steps of the event loop."""
    client, steps = Client(count), list[int]()

    async def fetch() -> None:
        for step in range(FETCH_STEPS):
            steps.append(step)
            await asyncio.sleep(0)

    sending = asyncio.create_task(fetch())
    handfuls = [few async for few in polling().batch(client)]
    assert (sum(map(len, handfuls)), len(steps)) == (count, FETCH_STEPS)
    await sending
