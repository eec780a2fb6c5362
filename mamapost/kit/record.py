"""Records the golden stream anew: the scenario in small, on real engines and services."""

from __future__ import annotations

import asyncio
import random
import tempfile
from datetime import date
from pathlib import Path

import httpx

from mamapost.demo.rankings import await_all
from mamapost.demo.reader import Reader
from mamapost.kit.stream import TOPICS, Line, disorder, line_of, save
from mamapost.local import Running, running
from mamapost.scenario.drive import drive
from mamapost.scenario.yantai import generate
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings

SCALE = 0.02
SEED = 20251
ARRIVAL_TIMEOUT_S = 60.0


def record(file: Path, month: date) -> int:
    """Play the scenario and write its stream.

    Returns:
        How many messages it has.

    Raises:
        LocalRunError: engines or services cannot run here.
    """
    with tempfile.TemporaryDirectory(prefix="mamapost-kit-") as root, running(Path(root), with_token=True) as local:
        events = asyncio.run(_play(local, month))
    stream = disorder(events, random.Random(SEED))
    save(stream, file)
    return len(stream)


async def _play(local: Running, month: date) -> list[Line]:
    scenario = generate(SEED, SCALE, month)
    async with (
        Reader(Connection(Settings(kafka=local.engines.urls.kafka))) as reader,
        httpx.AsyncClient(
            base_url=local.urls["matching"], headers={"Authorization": f"Bearer {local.token}"}, timeout=60
        ) as matching,
    ):
        journal = await drive(scenario, local.urls, local.token, lambda _stage, _done, _total: None)
        missing = await reader.wait_for((command.event_id for command in journal.accepted), ARRIVAL_TIMEOUT_S)
        if missing:
            raise RuntimeError(f"{len(missing)} events did not arrive on their topics")
        await await_all(matching, reader)
        return [line_of(envelope) for envelope in reader.events.values() if envelope.event.topic in TOPICS]
