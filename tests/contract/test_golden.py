"""The committed schemas and examples are what the models say, and they are right by themselves."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.contracts import golden
from shared.contracts.envelope import Envelope, decode, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.topics import PARTITIONS, TOPICS, partition_of
from tests.contract.schemas import example_of, message_of, schema_of, validator_of

topics = pytest.mark.parametrize("topic", TOPICS)

ELSEWHERE = {"offer-settled": {"reason"}}
"""Fields that cannot stand beside those of the example: who accepted has a placement, and no reason why not."""


def test_the_committed_files_are_what_the_models_say() -> None:
    faults = {path.name: fault for path, fault in golden.drift().items()}
    assert faults == {}, "a contract changed: if it was meant, run `make contracts` and commit the files"


def test_the_files_are_the_same_whenever_they_are_made() -> None:
    assert golden.golden_files() == golden.golden_files()
    assert all(text.endswith("}\n") for text in golden.golden_files().values())


@topics
def test_a_schema_is_json_schema_2020_12_with_its_topic_and_classes(topic: str) -> None:
    schema = schema_of(topic)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:mamapost:schema:{topic}:v1"
    assert schema["title"]
    assert schema["description"]
    declared = TOPICS[topic]
    assert schema["x-topic"] == {
        "name": topic,
        "owner": declared.owner,
        "key": declared.event.entity,
        "order": declared.event.order,
        "access": declared.access,
        "retention_ms": declared.retention_ms,
        "compacted": declared.compacted,
        "dead_letters": f"{topic}.dlq",
        "partitions": PARTITIONS,
        "partitioned_by": "city",
        "max_message_bytes": 262_144,
    }
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part["properties"].items():
            assert field["x-field-class"] in ("open", "pseudonymous"), name


@topics
def test_an_example_decodes_to_what_it_says_and_back(topic: str) -> None:
    example = example_of(topic)
    envelope = decode(*message_of(example))
    assert envelope == EXAMPLES[topic]
    event, value = envelope.event, example["value"]
    assert (event.topic, event.entity_id) == (topic, example["key"]) == (topic, value[event.entity])
    assert event.entity_version == value[event.order] == int(example["headers"]["ce_sequence"])
    assert event.city == value["city"] == example["headers"]["ce_partitionkey"]
    assert example["partition"] == partition_of(value["city"])
    again = encode(envelope)
    assert (again.topic, again.key, again.partition) == (topic, example["key"].encode(), example["partition"])
    assert dict(again.headers) == {name: text.encode() for name, text in example["headers"].items()}
    assert decode(topic, again.key, again.headers, again.value) == envelope


@topics
def test_an_example_is_valid_and_shows_every_field(topic: str) -> None:
    value = example_of(topic)["value"]
    validator_of(topic).validate(value)
    assert set(value) == set(schema_of(topic)["properties"]) - ELSEWHERE.get(topic, set())


def test_a_trace_goes_through() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    plain = EXAMPLES["post-opened"]
    traced = Envelope(plain.id, plain.time, plain.event, trace)
    message = encode(traced)
    assert decode(message.topic, message.key, message.headers, message.value) == traced


def test_what_is_finer_than_a_contract_is_made_as_fine_as_it_when_the_event_is_made() -> None:
    """Otherwise the producer's event and the consumer's would differ."""
    event = EXAMPLES["post-closed"].event
    given = event.model_dump() | {"closed_at": datetime.fromisoformat("2026-03-02T09:00:00.123456+08:00")}
    made = type(event).model_validate(given)
    assert made.model_dump(mode="json")["closed_at"] == "2026-03-02T01:00:00.123Z"
    assert type(event).model_validate_json(made.model_dump_json(), strict=True) == made


class TestCommandLine:
    @pytest.fixture
    def house(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(golden, "HERE", tmp_path)
        return tmp_path

    def test_write_then_check(self, house: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert golden.main(["--check"]) == 1
        assert golden.main(["--write"]) == 0
        capsys.readouterr()
        assert golden.main(["--check"]) == 0
        assert "all equal" in capsys.readouterr().out

    def test_check_names_what_differs_and_changes_nothing(
        self, house: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        golden.main(["--write"])
        changed = house / "schemas" / "post-opened.v1.json"
        changed.write_text("{}\n")
        (house / "examples" / "post-closed.v1.json").unlink()
        (house / "schemas" / "gone.v1.json").write_text("{}\n")
        capsys.readouterr()
        assert golden.main(["--check"]) == 1
        told = capsys.readouterr().out
        assert "differs  schemas/post-opened.v1.json" in told
        assert "missing  examples/post-closed.v1.json" in told
        assert "orphan   schemas/gone.v1.json" in told
        assert changed.read_text() == "{}\n"
        assert golden.main(["--write"]) == 0
        assert golden.drift() == {}

    @pytest.mark.parametrize("arguments", [[], ["--write", "--check"], ["--frobnicate"]])
    def test_a_wrong_call_is_refused(self, house: Path, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            golden.main(arguments)
        assert stopped.value.code == 2


def test_a_hint_without_class_is_not_given_one() -> None:
    hint: Any = list[str]
    with pytest.raises(ValueError, match="field class"):
        golden.class_of(hint)
