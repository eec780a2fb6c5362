"""Work of a service that goes on beside its requests: its end by a defect is logged and shown, never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared.runtime.logs import logger

_log = logger(__name__)


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


async def end(task: asyncio.Task[None]) -> None:
    """Cancel work that was begun with `supervised`, and wait for its end, however it ends."""
    task.cancel()
    await asyncio.wait([task])
