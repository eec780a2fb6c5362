"""Commands that want the same document queue; nobody waits for ever, and no queue is left behind."""

from __future__ import annotations

import asyncio

import pytest

from services.registry.api.turns import Turns


async def test_who_wants_the_same_goes_one_by_one_in_order() -> None:
    turns, inside, order = Turns(), 0, list[int]()

    async def command(number: int) -> None:
        nonlocal inside
        async with turns.of(["post", "station"] if number % 2 else ["station", "shuttle"]):
            inside += 1
            assert inside == 1
            order.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(command(number) for number in range(10)))
    assert sorted(order) == list(range(10))
    assert len(turns) == 0


async def test_who_wants_something_else_does_not_wait() -> None:
    turns = Turns()
    async with turns.of(["one", "one"]), turns.of(["two"]), turns.of([]):
        assert len(turns) == 2
    assert len(turns) == 0


async def test_documents_named_in_any_order_do_not_lock_each_other_out() -> None:
    turns = Turns(wait_s=30)

    async def command(*wanted: str) -> None:
        async with turns.of(wanted):
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await asyncio.gather(*(command(*pair) for pair in (("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")) * 20))


async def test_after_the_waiting_time_a_command_goes_ahead() -> None:
    turns = Turns(wait_s=0.01)
    async with turns.of(["post"]):
        async with asyncio.timeout(10), turns.of(["post"]):
            assert len(turns) == 1
        # The turn is still the first one's: the second did not give it away when it left.
        async with asyncio.timeout(10), turns.of(["post"]):
            pass
    assert len(turns) == 0


async def test_a_command_that_fails_or_is_gone_leaves_its_turn() -> None:
    turns = Turns(wait_s=30)

    async def fails() -> None:
        async with turns.of(["post"]):
            raise LookupError

    with pytest.raises(LookupError):
        await fails()

    async def waits() -> None:
        async with turns.of(["post"]):
            pytest.fail("it was cancelled while it waited")

    async with turns.of(["post"]):
        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(10), turns.of(["post"]):
        pass
    assert len(turns) == 0
