"""The catalogue in words and as data: what a subscriber must know of a topic, gathered from where it stands.

Promises and limits come from `topics`, fields and their classes from the models, messages from `examples`. The console
command, `docs/events.md` and AsyncAPI show what is put together here; nothing of it is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from shared.contracts.fields import OPEN, PERSONAL, PSEUDONYMOUS, FieldClass
from shared.contracts.golden import example_of, schema_of
from shared.contracts.topics import (
    COMPACTION_LAG_MS,
    DAY_MS,
    DEAD_LETTER_RETENTION_MS,
    DELIVERY,
    MESSAGE_MAX_BYTES,
    ORDERING,
    PARTITION_RULE,
    PARTITIONS,
    TOPICS,
    Topic,
)

CLASSES: dict[FieldClass, str] = {
    OPEN: "says nothing of an individual",
    PSEUDONYMOUS: "names a woman by a random id, or tells something of her beside it",
    PERSONAL: "identifies a person; stands on no topic, a model that holds such a field cannot be built",
}
"""What each field class means."""


class Field(NamedTuple):
    """One field of an event, flattened.

    Attributes:
        path: dotted; `[]` after a list: `top[].seeker_id`.
        type: in the words of JSON Schema, e.g. `string, list of integer`.
        limits: bounds, pattern, values; empty where there are none.
        field_class: `open` or `pseudonymous`; of a part, the stricter of its own and that of the field it is in.
    """

    path: str
    type: str
    required: bool
    field_class: str
    limits: str
    meaning: str


def fields_of(schema: dict[str, Any]) -> list[Field]:
    """All fields of an event's schema, outermost first, each part after the whole."""
    return list(_fields(schema, schema.get("$defs", {}), "", "open"))


def _fields(part: dict[str, Any], definitions: dict[str, Any], path: str, around: str) -> Iterator[Field]:
    for name, field in part["properties"].items():
        classes = {around, field["x-field-class"]}
        field_class = "pseudonymous" if "pseudonymous" in classes else "open"
        whole = _resolved(field, definitions)
        is_list = whole.get("type") == "array"
        item = _resolved(whole["items"], definitions) if is_list else whole
        place = f"{path}{name}{'[]' if is_list else ''}"
        kind = f"list of {item['type']}" if is_list else str(whole["type"])
        limits = ", ".join(filter(None, (_limits(whole) if is_list else "", _limits(item))))
        yield Field(
            place, kind, name in part.get("required", ()), field_class, limits, str(field.get("description", ""))
        )
        if item["type"] == "object":
            yield from _fields(item, definitions, f"{place}.", field_class)


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A field without its reference, and without the `null` that an optional one may be."""
    for option in field.get("anyOf", ()):
        if option.get("type") != "null":
            return _resolved(option, definitions)
    if "$ref" in field:
        found: dict[str, Any] = definitions[field["$ref"].rpartition("/")[2]]
        return found
    return field


def _limits(field: dict[str, Any]) -> str:
    said = []
    if "enum" in field:
        said.append(" | ".join(map(str, field["enum"])))
    if "minimum" in field or "maximum" in field:
        said.append(f"{field.get('minimum', '')}…{field.get('maximum', '')}")
    if "minItems" in field or "maxItems" in field:
        said.append(f"{field.get('minItems', 0)}…{field.get('maxItems', '')} items")
    if "format" in field:
        said.append(field["format"])
    elif "pattern" in field:
        said.append(field["pattern"])
    return ", ".join(said)


def kept(topic: Topic) -> str:
    """How long a message is kept, in words."""
    if topic.compacted:
        return f"for ever; after {COMPACTION_LAG_MS // DAY_MS} days only the latest of each key"
    return f"{topic.retention_ms // DAY_MS} days"


def ending(topic: Topic) -> str:
    """Until when a version is published that another replaces, in words; empty for all others."""
    return f" · published until {topic.ends_on}, replaced by `{topic.replaced_by}`" if topic.ends_on else ""


def entry_of(topic: Topic) -> dict[str, Any]:
    """Everything that is promised of a topic, as data."""
    schema = schema_of(topic)
    fields = fields_of(schema)
    return {
        "topic": topic.name,
        "meaning": topic.meaning,
        "owner": topic.owner,
        "type": topic.event.type(),
        "schema": schema["$id"],
        "access": topic.access,
        "key": topic.key,
        "order": topic.event.order,
        "ordering": ORDERING,
        "delivery": DELIVERY,
        "partitions": PARTITIONS,
        "partitioned_by": "city",
        "partition_rule": PARTITION_RULE,
        "retention_ms": topic.retention_ms,
        "compacted": topic.compacted,
        "compaction_lag_ms": COMPACTION_LAG_MS if topic.compacted else None,
        "max_message_bytes": MESSAGE_MAX_BYTES,
        "dead_letters": topic.dead_letters,
        "dead_letter_retention_ms": DEAD_LETTER_RETENTION_MS,
        "ends_on": None if topic.ends_on is None else topic.ends_on.isoformat(),
        "replaced_by": topic.replaced_by,
        "fields": [field._asdict() for field in fields],
        "example": example_of(topic),
    }


# --- Markdown ---------------------------------------------------------------------------------------------------------


def topics_table() -> str:
    """All topics, a line each, as Markdown."""
    rows = [
        (
            f"[`{topic.name}`](#{topic.name})",
            topic.owner,
            f"`{topic.key}`",
            topic.access,
            short_kept(topic),
            topic.meaning,
        )
        for topic in TOPICS.values()
    ]
    return table([("topic", "owner", "key", "access", "kept", "meaning"), *rows])


def short_kept(topic: Topic) -> str:
    """How long a message is kept, in two words."""
    return "latest per key" if topic.compacted else f"{topic.retention_ms // DAY_MS} days"


def topic_sections() -> str:
    """Every topic with its promises and fields, as Markdown."""
    return "\n".join(_section(topic) for topic in TOPICS.values())


def _section(topic: Topic) -> str:
    facts = (
        f"`{topic.event.type()}` · from {topic.owner} · {topic.access} · key `{topic.key}`, versions counted by "
        f"`{topic.event.order}` · kept {kept(topic)}{ending(topic)} · dead letters on `{topic.dead_letters}` · "
        f"[schema](../shared/contracts/schemas/{topic.versioned}.json), "
        f"[example](../shared/contracts/examples/{topic.versioned}.json)"
    )
    rows = [
        (
            f"`{field.path}`{'' if field.required else ' ?'}",
            field.type,
            field.field_class,
            f"`{field.limits}`".replace("|", "\\|") if field.limits else "",
            field.meaning,
        )
        for field in fields_of(schema_of(topic))
    ]
    fields = table([("field", "type", "class", "limits", "meaning"), *rows])
    return f"### {topic.name}\n\n{topic.meaning}\n\n{facts}\n\n{fields}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = [f"| {' | '.join(row)} |\n" for row in rows]
    return head + "|" + "---|" * len(rows[0]) + "\n" + "".join(body)
