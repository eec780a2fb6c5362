"""Messages that chaos puts on topics: old ones again, old ones after newer ones, and some that nobody can use."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from mamapost.broker import broker_of
from mamapost.chaos.evidence import INJECTED_HEADER
from mamapost.chaos.recorder import Recorder
from mamapost.scenario.dice import Dice
from shared.contracts.envelope import Envelope, encode
from shared.contracts.topics import PARTITIONS

COPIES: Final = 20
"""Messages that one fault repeats."""

TRIES: Final = 30
"""Attempts to reach a broker that may be hurt itself, a second apart."""

PERSONAL: Final = "测试某某 +000-0000-0000"
"""Personal text in poison: it must stand nowhere but in the poison itself."""

INJECTED: Final = (INJECTED_HEADER, b"1")


class Wire(NamedTuple):
    """A message as it is sent."""

    topic: str
    partition: int
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes | None


async def inject(kind: Literal["duplicate", "reorder", "poison"], kafka: str, recorder: Recorder, dice: Dice) -> int:
    """Put messages on the topics, and answer how many were acknowledged."""
    found = [envelope for _, envelope in recorder.topics().events(recorder.generation)]
    if not found:
        return 0
    make = {"duplicate": duplicates, "reorder": reordered, "poison": poison}[kind]
    return await _send(kafka, list(make(found, dice)))


def duplicates(events: list[Envelope], dice: Dice) -> Iterator[Wire]:
    """Events that were published before, once more."""
    for envelope in dice.sample(events, COPIES):
        yield _again(envelope)


def reordered(events: list[Envelope], dice: Dice) -> Iterator[Wire]:
    """Entities of several versions, told backwards: each older version comes after the newer one."""
    by_entity: defaultdict[tuple[str, str], dict[int, Envelope]] = defaultdict(dict)
    for envelope in events:
        event = envelope.event
        by_entity[event.topic, event.entity_id][event.entity_version] = envelope
    several = [versions for versions in by_entity.values() if len(versions) > 1]
    for versions in dice.sample(several, COPIES // 2):
        for version in sorted(versions, reverse=True):
            yield _again(versions[version])


def poison(events: list[Envelope], dice: Dice) -> Iterator[Wire]:
    """One message of each form that no consumer can use, on topics that were in use."""
    for form in range(5):
        good = _again(dice.pick(events))
        headers = [(name, value) for name, value in good.headers if name != "ce_type"]
        partition = dice.below(PARTITIONS)
        personal = PERSONAL.encode()
        yield (
            good._replace(value=personal),
            good._replace(value=None),
            good._replace(headers=headers),
            good._replace(headers=[*headers, ("ce_type", b"\xff\xfe")]),
            good._replace(key=personal, value=b'{"name": "' + personal + b'"}', partition=partition),
        )[form]


def _again(envelope: Envelope) -> Wire:
    message = encode(envelope)
    return Wire(message.topic, message.partition, message.key, [*message.headers, INJECTED], message.value)


async def _send(kafka: str, wires: list[Wire]) -> int:
    for _ in range(TRIES):
        producer = AIOKafkaProducer(**broker_of(kafka).arguments(), acks="all")
        try:
            await producer.start()
            for wire in wires:
                await producer.send_and_wait(
                    wire.topic, wire.value, key=wire.key, partition=wire.partition, headers=wire.headers
                )
        except (KafkaError, OSError):
            await asyncio.sleep(1)  # what was sent may be sent again: it is a duplicate then, as it is meant to be
        else:
            return len(wires)
        finally:
            await producer.stop()
    return 0
