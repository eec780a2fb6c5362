"""Work of a service that goes on beside its requests: its end by a defect is logged and shown, never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from shared.runtime.logs import logger

_log = logger(__name__)

CANCEL_AGAIN_S = 15.0
"""Pause before what does not end is cancelled again: longer than a consumer takes to close its books."""


class Abandoned(Exception):
    """Work seemed cancelled though nobody had cancelled it: a client library lets such a thing out of itself."""


def failure_of(task: asyncio.Task[None]) -> BaseException | None:
    """What ended a task that nobody had ended; `None` if it goes on, is done or was cancelled by somebody.

    It is cancelled by nobody where a client library lets a cancellation out of itself.
    """
    if not task.done():
        return None
    if task.cancelled():
        return None if task.cancelling() else Abandoned()
    return task.exception()


def is_cancelled() -> bool:
    """Whether somebody has cancelled the task that runs."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def supervised(work: Coroutine[Any, Any, None], name: str, on_defect: Callable[[], object]) -> asyncio.Task[None]:
    """Begin work in the background.

    Args:
        name: of the work, in the log.
        on_defect: called when an exception ended the work, which is logged; makes the service report itself as down.
    """

    def ended(task: asyncio.Task[None]) -> None:
        error = failure_of(task)
        if error is not None:
            _log.error("background work ended by a defect; the service is down", work=name, exc_info=error)
            on_defect()

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel work, and wait for its end, however it ends.

    It is cancelled until it ends, and not once: a client library can lose a cancellation that meets the end of what it
    waits for.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_S)


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do several things until all have ended, or one has failed and the others have been ended.

    Raises:
        ExceptionGroup: of what they failed with.
    """
    tasks = left = {asyncio.create_task(work) for work in works}
    try:
        while left and not any(failure_of(task) for task in tasks):
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    failures = [error for task in tasks if (error := failure_of(task)) is not None]
    if failures:
        raise BaseExceptionGroup("of several things done together", failures)


async def came_to_its_end(work: Coroutine[Any, Any, None]) -> bool:
    """Whether work was done; if not, it cancelled itself, which does not reach who waits for it here.

    A consumer of aiokafka does so that stops while a fetch of its own waits after a failure.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    finally:
        await end(task)
    if task.cancelled():
        return False
    task.result()
    return True
