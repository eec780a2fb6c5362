"""The process that fetches, without a broker: what it asks its client for, and what it is told. With one:
tests/integration/test_fetcher.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from shared.contracts import fast
from shared.messaging.carried import NOTHING, Fetch, Fetched, parts_of, records_of
from shared.messaging.fetch import Fetching, settings_for
from shared.messaging.polling import Polling
from shared.runtime.settings import Settings
from tests.unit.shared.client import Client

ONE, OTHER = TopicPartition("seeker-registered", 0), TopicPartition("seeker-registered", 1)


class Assigned(Client):
    """A client that is told what to read, and has heard of some ends."""

    def __init__(self, count: int, ends: Mapping[TopicPartition, tuple[int, int]] | None = None) -> None:
        super().__init__(count)
        self.asked: list[object] = []
        self.ends = dict(ends or {})
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=self))

    def unsubscribe(self) -> None:
        self.asked.append("nothing")

    def assign(self, places: list[TopicPartition]) -> None:
        self.asked.append(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.asked.append((place, offset))

    def state_value(self, place: TopicPartition) -> Any:
        highwater, timestamp = self.ends.get(place, (None, None))
        return SimpleNamespace(highwater=highwater, timestamp=timestamp)


def fetching(client: Assigned) -> Fetching:
    return Fetching(client, Polling(fast.decode, 500, 250))


async def answered(fetching: Fetching) -> Fetched:
    [part] = parts_of(await fetching.next())
    return part


async def test_what_is_fetched_bears_the_number_of_the_command() -> None:
    client = Assigned(3)
    process = fetching(client)
    process.obey(Fetch(4, [(*ONE, 0), (*OTHER, 9)]))
    assert client.asked == ["nothing", [ONE, OTHER], (ONE, 0), (OTHER, 9)]
    answer = await answered(process)
    assert (answer.number, [record.offset for record in records_of(answer)]) == (4, [0, 1, 2])
    assert await process.next() == NOTHING, "nothing more came, and nothing was told"


async def test_nothing_is_asked_for_when_nothing_is_to_be_fetched() -> None:
    client = Assigned(0)
    fetching(client).obey(Fetch(1, []))
    assert client.asked == ["nothing"]


async def test_each_news_of_an_end_is_told_once_and_again_after_a_command() -> None:
    client = Assigned(0, {ONE: (5, 1_000)})
    process, command = fetching(client), Fetch(1, [(*ONE, 0), (*OTHER, 0)])
    process.obey(command)
    [end] = (await answered(process)).ends
    assert (end.topic, end.partition, end.highwater, end.at_ms) == (*ONE, 5, 1_000)
    assert await process.next() == NOTHING
    client.ends[ONE] = (5, 2_000)
    assert [end.at_ms for end in (await answered(process)).ends] == [2_000], "a fetch that found nothing is news"
    process.obey(command)
    assert [end.at_ms for end in (await answered(process)).ends] == [2_000]


def test_the_process_is_told_how_to_reach_the_broker_and_no_other_secret() -> None:
    settings = Settings(kafka="broker:9092", mongo="mongodb://user:password@store", batch_max_records=7)
    told = json.loads(settings_for(settings))
    assert told["kafka"] == "broker:9092"
    assert told["batch_max_records"] == 7
    assert not [
        name
        for name in told
        if not name.startswith("kafka") and name not in ("batch_max_records", "fetch_max_wait_ms", "log_level")
    ]
