"""Moves leadership about, as an operator or a rebalance does: of partitions among brokers, of the databases' set."""

from __future__ import annotations

from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from mamapost.broker import broker_of

REQUEST_TIMEOUT_MS: Final = 10_000

STEP_DOWN_S: Final = 10
"""How long the database that led does not stand for election again."""

PREFERRED: Final = 0
"""Kind of election: the first replica leads."""

NOT_NEEDED: Final = frozenset({0, 80, 84})
"""Kafka's codes of an outcome that is no failure: done, the first replica is away, it leads already."""


class ElectionRefused(Exception):
    """The cluster did not hold an election, by Kafka's error code."""


class _ElectLeadersResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 43
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(("partition", Int32), ("error_code", Int16), ("error_message", String("utf-8"))),
                ),
            ),
        ),
    )


class _ElectLeadersStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    """The one request of Kafka's administration that this needs and aiokafka has not."""

    API_KEY = 43
    API_VERSION = 1
    RESPONSE_TYPE = _ElectLeadersResponse
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
        ("timeout_ms", Int32),
    )


class _ElectLeaders(Request[_ElectLeadersStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 43

    def __init__(self, topics: list[tuple[str, list[int]]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_ElectLeadersStruct]) -> _ElectLeadersStruct:
        return request_struct_class(PREFERRED, self._topics, REQUEST_TIMEOUT_MS)


async def lead_partitions(kafka: str, broker: int) -> int:
    """Have one broker lead every partition that it holds a replica of. Answers how many these are.

    Raises:
        KafkaError: no broker answered.
        ElectionRefused
    """
    admin = AIOKafkaAdminClient(**broker_of(kafka).arguments(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    await admin.start()
    try:
        orders = _first(await admin.describe_topics(), broker)
        wanted: list[tuple[str, list[tuple[int, list[int], dict[int, bytes]]], dict[int, bytes]]] = [
            (topic, [(partition, replicas, {}) for partition, replicas in partitions], {})
            for topic, partitions in orders.items()
        ]
        await admin._send_request(AlterPartitionReassignmentsRequest(REQUEST_TIMEOUT_MS, wanted, {}))
        elect = [(topic, [partition for partition, _ in partitions]) for topic, partitions in orders.items()]
        answer = await admin._send_request(_ElectLeaders(elect))
        if answer.error_code not in NOT_NEEDED:
            raise ElectionRefused(f"Kafka's error code {answer.error_code}")
        return sum(len(partitions) for _, partitions in elect)
    finally:
        await admin.close()


def _first(topics: list[dict[str, Any]], broker: int) -> dict[str, list[tuple[int, list[int]]]]:
    """Each partition's replicas with one broker first, by topic."""
    orders: dict[str, list[tuple[int, list[int]]]] = {}
    for topic in topics:
        for partition in topic["partitions"]:
            others = [replica for replica in partition["replicas"] if replica != broker]
            if len(others) < len(partition["replicas"]):
                orders.setdefault(topic["topic"], []).append((partition["partition"], [broker, *others]))
    return orders


def step_down(mongo: str) -> None:
    """Have the database that leads give it up, and another one be elected.

    Raises:
        PyMongoError: nobody leads at present.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(mongo)
    try:
        client.admin.command("replSetStepDown", STEP_DOWN_S, secondaryCatchUpPeriodSecs=5, force=True)
    except AutoReconnect:
        return  # it closes its connections as it steps down
    finally:
        client.close()
