"""Every schema that was ever released, and whether today's are compatible with all of them.

`shared/contracts/released/post-opened.v1.2.json` is the second form in which version 1 of `post-opened` was released. A
file there is never changed; what was promised once is held against every later change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mamapost.contracts.compatibility import Verdict, compare
from mamapost.contracts.sets import Schema
from shared.contracts.golden import HERE, schema_of
from shared.contracts.topics import TOPICS

RELEASED = HERE / "released"

_NAME = re.compile(r"([a-z][a-z0-9.-]*)\.v([0-9]+)\.([0-9]+)\.json")


@dataclass(frozen=True, slots=True)
class Release:
    """One released form of an event's schema; `topic` is that of its first version."""

    topic: str
    major: int
    number: int
    schema: Schema

    @property
    def name(self) -> str:
        return f"{self.topic}.v{self.major}.{self.number}"


def releases() -> list[Release]:
    """All of them, oldest first.

    Raises:
        ValueError: a file that is not named like one.
    """
    found = []
    for path in RELEASED.glob("*"):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise ValueError(f"{path.name}: expected a name like post-opened.v1.2.json")
        schema = json.loads(path.read_text(encoding="utf-8"))
        found.append(Release(match[1], int(match[2]), int(match[3]), schema))
    return sorted(found, key=lambda release: (release.topic, release.major, release.number))


def verdicts(topics: list[str]) -> Iterator[tuple[Release, Verdict]]:
    """Every released form of these topics' current versions, with what is to be said of the change to today's."""
    for release in releases():
        topic = TOPICS.get(release.topic if release.major == 1 else f"{release.topic}.v{release.major}")
        if topic is not None and topic.name in topics:
            yield release, compare(release.schema, schema_of(topic))


def unreleased() -> list[Release]:
    """Today's schemas that differ from their latest release, each as the release that it would be."""
    latest = {(release.topic, release.major): release for release in releases()}
    found = []
    for topic in TOPICS.values():
        last = latest.get((topic.event.event_name(), topic.event.major))
        schema = schema_of(topic)
        if last is None or last.schema != schema:
            found.append(Release(topic.event.event_name(), topic.event.major, last.number + 1 if last else 1, schema))
    return found


def release() -> list[Release]:
    """Write today's schemas beside the released ones; the caller has seen that they are compatible."""
    RELEASED.mkdir(exist_ok=True)
    added = unreleased()
    for each in added:
        text = json.dumps(each.schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        (RELEASED / f"{each.name}.json").write_text(text, encoding="utf-8")
    return added
