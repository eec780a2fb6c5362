"""`mamapost kit check`: play the golden stream, watch the integrator's table become right, say where it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mamapost.kit.play import play
from mamapost.kit.stream import Line, load
from mamapost.kit.table import Finding, TableUnreadable, compare, read_table, right_table
from shared.messaging.connection import Connection

LOOK_S = 0.5
"""How often the table is looked at while it is not right yet."""

SHOWN_MAX = 20
"""Differences that are printed: the first ones tell the mistake."""


def run_check(broker: Connection | None, prefix: str, table: Path, name: str, wait_s: float) -> bool:
    """Play (with `broker`), then compare until the table is right or the time has passed.

    Returns:
        Whether the table is right.

    Raises:
        TopicsInUse: the topics hold messages already.
        TableUnreadable: there is no table that can be compared, not even at the end.
        KafkaError: the broker does not do what it is asked for.
    """
    screen = Console(highlight=False)
    right = right_table(load())
    if broker is not None:
        run_play(broker, prefix)
    deadline = time.monotonic() + wait_s
    with screen.status(f"waiting for {table}"):
        while True:
            try:
                theirs = read_table(table, name)
                findings = compare(right, theirs)
                if not findings:
                    break
            except TableUnreadable:
                if time.monotonic() >= deadline:
                    raise
                findings = []
            if time.monotonic() >= deadline:
                break
            time.sleep(LOOK_S)
    if not findings:
        screen.print(f"pass: {len(right.posts)} open posts with their rankings, as they should be")
        return True
    _print(screen, findings)
    screen.print(f"fail: {len(findings)} differences; {len(theirs)} posts, expected {len(right.posts)}")
    return False


def run_play(broker: Connection, prefix: str) -> None:
    """Play the stream, and say what it holds.

    Raises:
        TopicsInUse, KafkaError: as in `run_check`.
    """
    stream = load()
    asyncio.run(play(broker, stream, prefix))
    Console(highlight=False).print(_told(stream, prefix))


def _told(stream: Sequence[Line], prefix: str) -> str:
    counts: dict[str, int] = {}
    for line in stream:
        kind = line.note.partition(":")[0] or "events"
        counts[kind] = counts.get(kind, 0) + 1
    topics = ", ".join(sorted({prefix + line.topic for line in stream}))
    parts = f"{counts['events']} events, {counts['duplicate']} duplicates, {counts['comes again']} that come again late"
    return f"played {len(stream)} messages on {topics}:\n{parts}, {counts['poison']} that are no events"


def _print(screen: Console, findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("post", "what is wrong", "where in the stream"):
        table.add_column(column, overflow="fold", no_wrap=column == "post")
    for finding in findings[:SHOWN_MAX]:
        table.add_row(*map(escape, finding))
    screen.print(table)
    if len(findings) > SHOWN_MAX:
        screen.print(f"… and {len(findings) - SHOWN_MAX} more")
