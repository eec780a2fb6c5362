"""AsyncAPI 3.0 of all services together, made from the catalogue: `docs/asyncapi.yaml`, and what each service serves.

A channel is a topic; its one message is the event, whose payload is the topic's JSON Schema with its parts in
`components/schemas`. Each service sends on the topics that it owns. FastStream's own document is not used: it shows a
batch as an array, and knows neither keys nor promises.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from shared.contracts.catalogue import kept
from shared.contracts.golden import example_of, schema_of
from shared.contracts.topics import (
    COMPACTION_LAG_MS,
    DELIVERY,
    MESSAGE_MAX_BYTES,
    ORDERING,
    PARTITION_RULE,
    PARTITIONS,
    TOPICS,
    Topic,
)

_NOT_IN_COMPONENTS = ("$defs", "$id", "$schema", "x-topic")


@cache
def document() -> Mapping[str, Any]:
    """The whole document. Equal for all services, so that an integrator reads one; do not change it.

    Raises:
        ValueError: two events have parts of one name and different forms.
    """
    schemas: dict[str, Any] = {}
    for topic in TOPICS.values():
        schema = schema_of(topic)
        for name, part in schema.get("$defs", {}).items():
            _add(schemas, name, part)
        _add(schemas, topic.versioned, {k: part for k, part in schema.items() if k not in _NOT_IN_COMPONENTS})
    owners = sorted({topic.owner for topic in TOPICS.values()})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mamapost events",
            "version": "1",
            "description": f"What the services publish. {DELIVERY} {ORDERING}",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": owner} for owner in owners],
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "Any broker of the installation.",
                "variables": {"broker": {"default": "127.0.0.1:9092", "description": "Host and port."}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {f"publish-{topic.name}": _operation(topic) for topic in TOPICS.values()},
        "components": {
            "messages": {topic.versioned: _message(topic) for topic in TOPICS.values()},
            "schemas": schemas,
            "messageTraits": {"cloudevents": _cloudevents()},
        },
    }


def _add(schemas: dict[str, Any], name: str, part: Mapping[str, Any]) -> None:
    moved = _moved(copy.deepcopy(part))
    if schemas.setdefault(name, moved) != moved:
        raise ValueError(f"two events have different parts that are named {name}")


def _moved(part: Any) -> Any:
    """A schema whose references lead to the components of the document."""
    if isinstance(part, dict):
        return {
            name: f"#/components/schemas/{inner.rpartition('/')[2]}" if name == "$ref" else _moved(inner)
            for name, inner in part.items()
        }
    return [_moved(inner) for inner in part] if isinstance(part, list) else part


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.meaning,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {"event": {"$ref": f"#/components/messages/{topic.versioned}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": MESSAGE_MAX_BYTES,
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-access": topic.access,
        "x-kept": kept(topic),
        "x-compaction-lag-ms": COMPACTION_LAG_MS if topic.compacted else None,
        "x-dead-letters": topic.dead_letters,
        "x-partition-rule": PARTITION_RULE,
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.meaning,
        "tags": [{"name": topic.owner}],
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/event"}],
    }


def _message(topic: Topic) -> dict[str, Any]:
    example = example_of(topic)
    return {
        "name": topic.event.type(),
        "title": topic.name,
        "summary": topic.meaning,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevents"}],
        "payload": {"$ref": f"#/components/schemas/{topic.versioned}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The value of {topic.key}."},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"name": topic.name, "headers": example["headers"], "payload": example["value"]}],
        "x-key": topic.key,
        "x-order": topic.event.order,
    }


def _cloudevents() -> dict[str, Any]:
    """Headers of every message: CloudEvents 1.0, Kafka binding, binary mode."""

    def text(description: str, **more: str) -> dict[str, str]:
        return {"type": "string", "description": description, **more}

    headers = {
        "ce_specversion": text("CloudEvents version.", const="1.0"),
        "ce_id": text("Id of the event; the same whenever it comes again.", pattern="^evt-[0-9a-f]{32}$"),
        "ce_type": text("Name and version of the event."),
        "ce_source": text("The service that publishes it."),
        "ce_time": text("Moment of the change.", format="date-time"),
        "ce_dataschema": text("Name of its JSON Schema."),
        "ce_partitionkey": text("The city, from which the partition follows."),
        "ce_sequence": text("Version of the entity."),
        "traceparent": text("Trace that it belongs to, W3C Trace Context."),
    }
    optional = {"ce_dataschema", "traceparent"}
    return {
        "headers": {
            "type": "object",
            "properties": headers,
            "required": [name for name in headers if name not in optional],
        }
    }
