"""The catalogue of topics on the terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.contracts.catalogue import entry_of, fields_of, kept, short_kept
from shared.contracts.golden import example_of, schema_of
from shared.contracts.topics import DELIVERY, ORDERING, PARTITION_RULE, PARTITIONS, TOPICS, Topic


def show_all(as_json: bool) -> None:
    """Every topic, a line each; as JSON, all that is promised of each."""
    if as_json:
        _print_json([entry_of(topic) for topic in TOPICS.values()])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "owner", "key", "access", "kept", "meaning"):
        table.add_column(column, no_wrap=column != "meaning")
    for topic in TOPICS.values():
        table.add_row(topic.name, topic.owner, topic.key, topic.access, short_kept(topic), topic.meaning)
    Console().print(table)


def show_one(topic: Topic, as_json: bool) -> None:
    """One topic with its promises, its fields and an example."""
    if as_json:
        _print_json(entry_of(topic))
        return
    screen = Console(highlight=False)
    facts = Table(box=None, pad_edge=False, show_header=False, title=topic.name, title_justify="left")
    facts.add_column(no_wrap=True)
    facts.add_column()
    for said, value in (
        ("meaning", topic.meaning),
        ("type", f"{topic.event.type()}, published by {topic.owner}"),
        ("access", topic.access),
        ("key", f"{topic.key}; its versions are counted by {topic.event.order}"),
        ("partition", f"one of {PARTITIONS}: {PARTITION_RULE}"),
        ("order", ORDERING),
        ("delivery", DELIVERY),
        ("kept", kept(topic)),
        ("dead letters", topic.dead_letters),
    ):
        facts.add_row(said, value)
    screen.print(facts)
    fields = Table(box=None, pad_edge=False, header_style="bold", title="\nfields", title_justify="left")
    for column in ("field", "type", "class", "limits", "meaning"):
        fields.add_column(column, overflow="fold", no_wrap=column in ("field", "class"))
    for field in fields_of(schema_of(topic)):
        path = field.path if field.required else f"{field.path} ?"
        fields.add_row(*map(escape, (path, field.type, field.field_class, field.limits, field.meaning)))
    screen.print(fields)
    example = example_of(topic)
    screen.print(f"\nexample, partition {example['partition']}, key {example['key']}", soft_wrap=True)
    _print_json({"headers": example["headers"], "value": example["value"]})


def _print_json(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))
