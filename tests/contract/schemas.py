"""The committed JSON Schemas, examples, and validators of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema.protocols import Validator

from mamapost.contracts.validation import validator_for
from shared.contracts.golden import HERE
from shared.contracts.topics import TOPICS


@cache
def schema_of(topic: str) -> dict[str, Any]:
    """The committed schema of a topic's current version."""
    loaded: dict[str, Any] = json.loads(_file("schemas", topic).read_text(encoding="utf-8"))
    return loaded


@cache
def validator_of(topic: str) -> Validator:
    return validator_for(schema_of(topic))


def example_of(topic: str) -> dict[str, Any]:
    """The committed example of a topic: topic, partition, key, headers, value."""
    loaded: dict[str, Any] = json.loads(_file("examples", topic).read_text(encoding="utf-8"))
    return loaded


def message_of(example: dict[str, Any]) -> tuple[str, bytes, list[tuple[str, bytes | None]], bytes]:
    """An example as a broker hands it out: topic, key, headers, value."""
    headers: list[tuple[str, bytes | None]] = [(name, value.encode()) for name, value in example["headers"].items()]
    return example["topic"], example["key"].encode(), headers, json.dumps(example["value"]).encode()


def _file(folder: str, topic: str) -> Any:
    return HERE / folder / f"{TOPICS[topic].versioned}.json"
