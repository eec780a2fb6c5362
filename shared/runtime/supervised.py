"""Work of a service that goes on beside its requests: its end by a defect is logged and shown, never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from shared.runtime.logs import logger

_log = logger(__name__)

CANCEL_AGAIN_S = 15.0
"""Pause before what does not end is cancelled again: longer than a consumer takes to close its books."""


def supervised(work: Coroutine[Any, Any, None], name: str, on_defect: Callable[[], object]) -> asyncio.Task[None]:
    """Begin work in the background.

    Args:
        name: of the work, in the log.
        on_defect: called when an exception ended the work, which is logged; makes the service report itself as down.
    """

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
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
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(*tasks)
    failures = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    if failures:
        raise BaseExceptionGroup("of several things done together", failures)
