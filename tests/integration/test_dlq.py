"""Dead letters as a tool, on a real broker: list, show, replay of thousands, and what is never sent again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner

from deploy.local.engines import Engines
from mamapost.cli import app
from mamapost.dlq import replay as replaying
from mamapost.dlq.letters import Filter, Origin, read_letters
from mamapost.dlq.replay import Outcome, plan, replay
from shared.contracts.envelope import Envelope, Reason, encode
from shared.contracts.fields import Event
from shared.contracts.topics import PARTITIONS
from shared.kernel.ids import new_id
from shared.messaging.connection import Connection
from shared.messaging.dead_letters import DeadLetters, Rejected
from shared.messaging.reading import read_to_end
from shared.messaging.records import REPLAYS_HEADER, records_of
from shared.messaging.relay import own_topics
from shared.messaging.topics import ensure_topics
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import NOW, seeker_registered, seeker_withdrawn
from tests.integration.test_bus import Sink, is_up, running

TOPIC = "seeker-registered"
MANY = 2_500


class Broker:
    """A producer on the test's broker, and what stands on its topics."""

    def __init__(self, kafka: str, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.connection = Connection(Settings(kafka=kafka))
        self.producer = producer

    async def send(self, events: Sequence[Event], replays: int = 0) -> list[Any]:
        pending = []
        for event in events:
            message = encode(Envelope(new_id("event"), NOW, event))
            headers = [*message.headers, *([(REPLAYS_HEADER, str(replays).encode())] if replays else [])]
            pending.append(
                await self.producer.send(
                    message.topic, message.value, key=message.key, partition=message.partition, headers=headers
                )
            )
        return [await acknowledged for acknowledged in pending]

    async def records(self, topic: str) -> list[Any]:
        places = {TopicPartition(topic, n): 0 for n in range(PARTITIONS)}
        return [record async for record in read_to_end(self.connection, places)]

    async def reject(self, messages: Sequence[Any], reason: Reason = "handler-failed") -> None:
        letters = DeadLetters("matching")
        letters.connect(self.producer)
        await letters.send([Rejected(record, reason, "a defect of the test") for record in records_of(messages)])


@pytest.fixture
async def broker(fresh_broker: Engines, settings: Settings) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await ensure_topics(admin, own_topics("registry"), 1)
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, linger_ms=5)
    await producer.start()
    yield Broker(settings.kafka, producer)
    await producer.stop()


async def command(kafka: str, *arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["dlq", *arguments, "--kafka", kafka])
    return result.exit_code, result.output


async def test_thousands_come_to_the_consumer_again_once_it_is_mended(
    broker: Broker, settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a replay that is broken off goes on where it stopped."""
    seekers = [seeker_registered() for _ in range(MANY)]
    ids = {seeker.seeker_id for seeker in seekers}
    sink = Sink()
    sink.refuse = set(ids)
    async with running(settings, mongo, "matching", sink.apply) as bus:
        await is_up(bus)
        await broker.send(seekers)
        await eventually(lambda: len(sink.applied) >= MANY, "all were refused once")

        async def all_told() -> bool:
            return len(await read_letters(broker.connection, Filter((TOPIC,)))) >= MANY

        await eventually(all_told, "all are dead letters")
        sink.refuse.clear()
        sink.applied.clear()

        send, calls = replaying._send, 0

        async def breaks_off(producer: Any, batch: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise ConnectionError("the operator's network went away")
            await send(producer, batch)

        ready = (await plan(broker.connection, await read_letters(broker.connection, Filter((TOPIC,))), 3)).ready
        assert len(ready) == MANY
        monkeypatch.setattr(replaying, "_send", breaks_off)
        with pytest.raises(ConnectionError):
            await replay(broker.connection, ready, lambda _: None)
        monkeypatch.setattr(replaying, "_send", send)

        code, told = await command(broker.kafka, "replay", "--topic", TOPIC, "--dry-run", "--json")
        rest = MANY - 2 * replaying.BATCH
        assert (code, json.loads(told)) == (0, {"dry_run": True, "sent": 0, "ready": rest})
        code, told = await command(broker.kafka, "replay", "--topic", TOPIC)
        assert code == 0
        assert f"{rest:,} messages looked at, {rest:,} sent" in told
        await eventually(lambda: len(sink.applied) >= MANY, "all were applied")
        assert Counter(sink.entities) == Counter(ids)
    assert (await command(broker.kafka, "list"))[1].strip() == "0 dead letters"
    code, told = await command(broker.kafka, "list", "--all", "--json", "--limit", "5")
    assert [letter["state"] for letter in json.loads(told)] == ["replayed"] * 5
    assert (await command(broker.kafka, "replay"))[1].strip() == "0 messages looked at, 0 sent"


async def test_what_would_do_harm_is_left_out_and_told(broker: Broker) -> None:
    """A stale state, a loop, a message that is no event, one that is gone, another at its place."""
    stale, looping, fine = (seeker_registered() for _ in range(3))
    await broker.send([stale, stale.model_copy(update={"version": 2})])
    await broker.send([looping], replays=3)
    await broker.send([fine], replays=2)
    partition = encode(Envelope(new_id("event"), NOW, fine)).partition
    await broker.producer.send_and_wait(TOPIC, b"no event", key=b"x", partition=partition)
    records = await broker.records(TOPIC)
    by_key = {record.key: record for record in reversed(records)}
    await broker.reject([by_key[seeker.seeker_id.encode()] for seeker in (stale, looping, fine)])
    await broker.reject([by_key[b"x"]], "not-json")
    other = await _at_offset(records[0], 1)
    gone = await _at_offset(records[0], 999)
    await broker.reject([other, gone], "refused")

    letters = await read_letters(broker.connection, Filter())
    assert {letter.origin.topic for letter in letters} == {TOPIC}
    outcomes = (await plan(broker.connection, letters, 3)).outcomes
    assert dict(sorted((origin.offset, outcome) for origin, outcome in outcomes.items())) == {
        by_key[stale.seeker_id.encode()].offset: Outcome.SUPERSEDED,
        1: Outcome.CHANGED,
        by_key[looping.seeker_id.encode()].offset: Outcome.EXHAUSTED,
        by_key[fine.seeker_id.encode()].offset: Outcome.READY,
        by_key[b"x"].offset: Outcome.UNUSABLE,
        999: Outcome.GONE,
    }
    code, told = await command(broker.kafka, "replay")
    assert code == 1, "something was left out"
    assert "6 messages looked at, 1 sent" in told
    assert "superseded" in told
    sent = (await broker.records(TOPIC))[-1]
    assert (sent.key, dict(sent.headers)[REPLAYS_HEADER]) == (fine.seeker_id.encode(), b"3")

    # It fails again, and that was its last time.
    await broker.reject([sent])
    again = [letter for letter in await read_letters(broker.connection, Filter()) if letter.replays == 3]
    assert {letter.origin.offset for letter in again} == {by_key[looping.seeker_id.encode()].offset, sent.offset}
    assert Outcome.READY not in (await plan(broker.connection, again, 3)).counts


async def _at_offset(record: Any, offset: int) -> Any:
    """A record that claims another place."""
    return type(
        "Claimed",
        (),
        {**{n: getattr(record, n) for n in ("topic", "partition", "key", "value", "headers")}, "offset": offset},
    )()


async def test_letters_are_chosen_and_shown(broker: Broker) -> None:
    seeker = seeker_registered()
    await broker.send([seeker, seeker_withdrawn(seeker.seeker_id, 2)])
    (registered,) = await broker.records(TOPIC)
    (withdrawn,) = await broker.records("seeker-withdrawn")
    await broker.reject([registered, withdrawn])
    await broker.reject([registered], "refused")

    async def chosen(*arguments: str) -> list[tuple[str, str]]:
        code, told = await command(broker.kafka, "list", "--json", *arguments)
        assert code == 0, told
        return [(letter["origin"]["topic"], letter["reason"]) for letter in json.loads(told)]

    assert len(await chosen()) == 3
    assert await chosen("--topic", "seeker-withdrawn") == [("seeker-withdrawn", "handler-failed")]
    assert await chosen("--reason", "refused") == [(TOPIC, "refused")]
    assert await chosen("--consumer", "revenue") == []
    assert len(await chosen("--since", "5m")) == 3
    assert await chosen("--since", (datetime.now(UTC) + timedelta(minutes=1)).isoformat()) == []
    code, told = await command(broker.kafka, "list")
    assert "3 dead letters: 2 handler-failed, 1 refused" in told

    code, told = await command(broker.kafka, "show", TOPIC, "0")
    shown = json.loads(told)
    assert code == 0
    assert (shown["message"], shown["state"], "content" in shown) == ("a valid event", "open", False)
    assert seeker.seeker_id not in told, "the message is shown on demand only"
    assert seeker.seeker_id in (await command(broker.kafka, "show", TOPIC, "0", "--content"))[1]

    # One message for its two letters, and both are done.
    planned = await plan(broker.connection, await read_letters(broker.connection, Filter((TOPIC,))), 3)
    assert planned.ready == [Origin(TOPIC, registered.partition, registered.offset)]
    assert await replay(broker.connection, planned.ready, lambda _: None) == 1
    assert await chosen() == [("seeker-withdrawn", "handler-failed")]

    for arguments, expected in (
        (("list", "--topic", "post-moved"), "no topic post-moved"),
        (("list", "--reason", "bored"), "reason: expected one of"),
        (("list", "--since", "yesterday"), "since: expected an instant"),
        (("show", TOPIC, "77"), "no dead letter 77"),
    ):
        code, told = await command(broker.kafka, *arguments)
        assert code == 2
        assert expected in told
