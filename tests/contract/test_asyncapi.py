"""AsyncAPI: the committed document is what the catalogue says, complete, and right by itself; services serve it.

After a change of the events: `make contracts`, or `python -m tests.contract.test_asyncapi --write`. The official parser
judges it in `make asyncapi-check`, which needs Node.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mamapost.contracts.validation import validator_for
from shared.contracts.asyncapi import document
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.runtime.http import create_app
from shared.runtime.settings import Settings

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"


def text() -> str:
    """The document as YAML; long lines are kept whole, equal parts are written out."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, _data: object) -> bool:
            return True

    return yaml.dump(dict(document()), Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)


def test_the_committed_document_is_what_the_catalogue_says() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `make contracts` and commit docs/asyncapi.yaml"
    assert yaml.safe_load(text()) == document()


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolved(path: str) -> Any:
    found: Any = document()
    for name in path.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_every_reference_leads_somewhere() -> None:
    found = set(references(dict(document())))
    assert len(found) > len(TOPICS)
    for path in found:
        assert isinstance(resolved(path), dict), path


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_stands_in_it_whole(topic: str) -> None:
    channel = document()["channels"][topic]
    assert channel["bindings"]["kafka"]["partitions"] == PARTITIONS
    assert channel["x-access"] == TOPICS[topic].access
    operation = document()["operations"][f"publish-{topic}"]
    assert (operation["action"], operation["tags"]) == ("send", [{"name": TOPICS[topic].owner}])
    message = resolved(channel["messages"]["event"]["$ref"])
    assert message["name"] == TOPICS[topic].event.type()
    components = {"components": document()["components"]}
    (example,) = message["examples"]
    validator_for({**message["payload"], **components}).validate(example["payload"])
    trait = resolved(message["traits"][0]["$ref"])
    validator_for({**trait["headers"], **components}).validate(example["headers"])


async def test_a_service_serves_it() -> None:
    async def ready() -> dict[str, str]:
        return {}

    app = create_app("registry", "", Settings(), None, ready)  # type: ignore[arg-type]  # never started
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry") as client:
        answer = await client.get("/asyncapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.aai.asyncapi+json;version=3.0.0"
    assert answer.json() == document()


def main(arguments: Sequence[str]) -> int:
    """Write the document anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True, help="write docs/asyncapi.yaml anew")
    parser.parse_args(arguments)
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"written  {FILE.name}: {len(TOPICS)} topics\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
