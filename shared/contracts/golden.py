"""The contract as files: one JSON Schema and one example message for each topic, generated from the catalogue.

Consumers in any language read these; the tests fail while they differ from the models, so a change of a contract is
always a change that a reviewer sees. `python -m shared.contracts.golden --write` (or `make contracts`) writes them.
"""

from __future__ import annotations

import argparse
import json
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import OPEN, PERSONAL, PSEUDONYMOUS, FieldClass, Payload, payloads_in
from shared.contracts.topics import MESSAGE_MAX_BYTES, PARTITIONS, TOPICS, Topic

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_STRICTEST_FIRST = (PERSONAL, PSEUDONYMOUS, OPEN)


class _Generator(GenerateJsonSchema):
    """pydantic's schemas without the titles that it makes up from field names."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def class_of(hint: Any) -> FieldClass:
    """Field class of a type hint: the strictest that stands on it, or on any part of it.

    Raises:
        ValueError: none stands on it; `Payload` lets no such field be defined.
    """
    found = set(_classes_in(hint))
    for field_class in _STRICTEST_FIRST:
        if field_class in found:
            return field_class
    raise ValueError("expected a type hint with a field class")


def _classes_in(hint: Any) -> list[FieldClass]:
    if isinstance(hint, FieldClass):
        return [hint]
    if isinstance(hint, type) and issubclass(hint, Payload):
        return [class_of(part) for part in hints_of(hint).values()]
    return [found for part in typing.get_args(hint) for found in _classes_in(part)]


def hints_of(model: type[Payload]) -> dict[str, Any]:
    """Type hints of a payload's fields with their metadata, by the published names."""
    hints = typing.get_type_hints(model, include_extras=True)
    return {field.alias or name: hints[name] for name, field in model.model_fields.items()}


def schema_of(topic: Topic) -> dict[str, Any]:
    """JSON Schema 2020-12 of a topic's events. It accepts what `envelope.decode` accepts, and nothing else."""
    event = topic.event
    schema = event.model_json_schema(by_alias=True, schema_generator=_Generator, mode="validation")
    _name_classes(event, schema, schema.get("$defs", {}))
    return {
        **schema,
        "$schema": DIALECT,
        "$id": event.schema_id(),
        "$comment": "Integers are written without fraction or exponent. Unknown fields are ignored. "
        "Absent and null mean the same.",
        "x-topic": {
            "name": topic.name,
            "owner": topic.owner,
            "key": event.entity,
            "order": event.order,
            "access": topic.access,
            "retention_ms": topic.retention_ms,
            "compacted": topic.compacted,
            "dead_letters": topic.dead_letters,
            "partitions": PARTITIONS,
            "partitioned_by": "city",
            "max_message_bytes": MESSAGE_MAX_BYTES,
        },
    }


def _name_classes(model: type[Payload], schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Write each field's class beside it, in the event and in the payloads that it is made of."""
    for name, hint in hints_of(model).items():
        schema["properties"][name]["x-field-class"] = class_of(hint).value
        for part in payloads_in(hint):
            _name_classes(part, definitions[part.__name__], definitions)


def example_of(topic: Topic) -> dict[str, Any]:
    """The example message of a topic, in a form that a person can read."""
    message = encode(EXAMPLES[topic.name])
    return {
        "topic": message.topic,
        "partition": message.partition,
        "key": message.key.decode(),
        "headers": {name: value.decode() for name, value in message.headers},
        "value": json.loads(message.value),
    }


def golden_files() -> dict[Path, str]:
    """Every golden file with the text it must have."""
    files: dict[Path, str] = {}
    for topic in TOPICS.values():
        name = f"{topic.versioned}.json"
        files[HERE / "schemas" / name] = _text_of(schema_of(topic))
        files[HERE / "examples" / name] = _text_of(example_of(topic))
    return files


def _text_of(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def drift() -> dict[Path, str]:
    """Files that differ from the catalogue, each with what is wrong: `missing`, `differs` or `orphan`."""
    wanted = golden_files()
    found = {path for folder in ("schemas", "examples") for path in (HERE / folder).glob("*.json")}
    faults = dict.fromkeys(found - set(wanted), "orphan")
    for path, text in wanted.items():
        if path not in found:
            faults[path] = "missing"
        elif path.read_bytes() != text.encode():
            faults[path] = "differs"
    return dict(sorted(faults.items()))


def _write(faults: dict[Path, str]) -> None:
    wanted = golden_files()
    for path, fault in faults.items():
        if fault == "orphan":
            path.unlink()
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(wanted[path].encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, or 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.contracts.golden",
        description="JSON Schema and example message of each event, generated from the models of shared/contracts.",
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write what differs, remove what no event needs")
    action.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file differs")
    is_write = bool(parser.parse_args(arguments).write)
    faults = drift()
    if is_write:
        _write(faults)
    done = {"orphan": "removed", "missing": "added", "differs": "changed"}
    for path, fault in faults.items():
        print(f"{done[fault] if is_write else fault:8} {path.relative_to(HERE)}")
    total = len(golden_files())
    if is_write:
        print(f"{len(TOPICS)} events, {total} files: {len(faults)} written or removed, the rest was right")
        return 0
    if faults:
        print(f"{len(faults)} of {total} files differ from the models. Meant? Then run: make contracts")
        return 1
    print(f"{len(TOPICS)} events, {total} files: all equal to the models")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
