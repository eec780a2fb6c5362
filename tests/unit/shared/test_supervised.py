"""Work in the background: its end by a defect is logged and shown, any other end is not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.runtime import supervised as module
from shared.runtime.supervised import Abandoned, came_to_its_end, end, supervised, together


async def _ends() -> None:
    await asyncio.sleep(0)


async def _breaks() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("a defect")


async def _goes_on() -> None:
    await asyncio.Event().wait()


async def _told(work: Coroutine[Any, Any, None]) -> tuple[asyncio.Task[None], list[str]]:
    """The task when it has ended, or has had the time to, and the defects that were told of it."""
    told: list[str] = []
    task = supervised(work, "a test", lambda: told.append("defect"))
    await asyncio.wait([task], timeout=0.01)
    await asyncio.sleep(0)  # callbacks of a task run in the turn after its end
    return task, told


async def test_a_defect_is_logged_with_its_cause_and_shown() -> None:
    with capture_logs() as logs:
        task, told = await _told(_breaks())
    assert told == ["defect"]
    [line] = logs
    assert (line["log_level"], line["work"]) == ("error", "a test")
    assert line["exc_info"] is task.exception()


@pytest.mark.parametrize("work", [_ends, _goes_on])
async def test_an_end_without_a_defect_is_silent(work: Any) -> None:
    with capture_logs() as logs:
        task, told = await _told(work())
        await end(task)
    assert task.done()
    assert (told, logs) == ([], [])


async def test_the_end_of_work_that_broke_raises_nothing() -> None:
    task, told = await _told(_breaks())
    await end(task)
    assert told == ["defect"]


async def _loses_a_cancellation(lost: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        lost.append("one")
    await asyncio.Event().wait()


async def test_what_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_AGAIN_S", 0.01)
    lost: list[str] = []
    with pytest.raises(ExceptionGroup) as raised:
        await together([_goes_on(), _loses_a_cancellation(lost), _breaks()])
    assert [type(error) for error in raised.value.exceptions] == [RuntimeError]
    assert lost == ["one"]


async def test_things_done_together_end_together() -> None:
    await together([_ends(), _ends()])


async def _cancels_itself() -> None:
    """As who waits for a task that something else cancels: aiokafka's consumers do, when they stop."""
    waited_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waited_for.cancel()
    await waited_for


async def test_work_that_cancels_itself_is_a_defect() -> None:
    with capture_logs() as logs:
        _, told = await _told(_cancels_itself())
    assert told == ["defect"]
    assert [type(line["exc_info"]) for line in logs] == [Abandoned]


async def test_things_done_together_end_when_one_cancels_itself() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(5):
            await together([_goes_on(), _cancels_itself()])
    assert [type(error) for error in raised.value.exceptions] == [Abandoned]


async def test_who_waits_for_work_that_cancels_itself_goes_on() -> None:
    assert await came_to_its_end(_ends())
    assert not await came_to_its_end(_cancels_itself())
    with pytest.raises(RuntimeError):
        await came_to_its_end(_breaks())


async def test_who_is_cancelled_ends_what_it_waits_for() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await _goes_on()
        finally:
            ended.set()

    waiting = asyncio.create_task(came_to_its_end(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert ended.is_set()
