"""Creates topics explicitly from the catalogue; brokers must not create them by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.topics import COMPACTION_LAG_MS, DEAD_LETTER_RETENTION_MS, MESSAGE_MAX_BYTES, PARTITIONS, TOPICS


async def ensure_topics(admin: AIOKafkaAdminClient, names: Sequence[str], replication_factor: int) -> bool:
    """Create the topics that are missing, each with its dead-letter topic.

    Returns:
        Whether any was missing; it may meanwhile have been made by another, and not from the catalogue (see `strays`).

    Raises:
        KafkaError: the broker refused one for another reason than that it exists.
    """
    wanted: list[NewTopic] = []
    existing = set(await admin.list_topics())
    for name in names:
        topic = TOPICS[name]
        if topic.name not in existing:
            configs = {
                "cleanup.policy": "compact" if topic.compacted else "delete",
                "retention.ms": str(topic.retention_ms),
                "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
                "max.message.bytes": str(MESSAGE_MAX_BYTES),
                "min.insync.replicas": str(min(2, replication_factor)),
            }
            wanted.append(NewTopic(topic.name, PARTITIONS, replication_factor, topic_configs=configs))
        if topic.dead_letters not in existing:
            configs = {"retention.ms": str(DEAD_LETTER_RETENTION_MS)}
            wanted.append(NewTopic(topic.dead_letters, 1, replication_factor, topic_configs=configs))
    if not wanted:
        return False
    response = await admin.create_topics(wanted)
    for _name, code, *_message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)
    return True


async def strays(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Those of these topics that are there with too few partitions, with their count: not made from the catalogue.

    A broker that makes topics by itself, as the embedded one does, makes one for a consumer that was left over from its
    predecessor and asks for it.
    """
    existing = [name for name in names if name in set(await admin.list_topics())]
    described = await admin.describe_topics(existing) if existing else []
    counts = {str(topic["topic"]): len(topic["partitions"]) for topic in described}
    return {name: count for name, count in counts.items() if count < PARTITIONS}
