"""Publishing a new version: `post-closed.v2` beside `post-closed`, for a reason that version 1 has no word for.

The whole way on a real broker: the registry makes the new event only, both come to their topics out of one transaction,
subscribers of either see every closing, and after the end date the old topic stands still.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from mamapost.contracts.compatibility import compare
from mamapost.contracts.validation import validator_for
from shared.contracts import topics
from shared.contracts.envelope import Envelope, Undecodable, decode, encode
from shared.contracts.fields import OPEN, City, Instant, OpenId, Version
from shared.contracts.golden import schema_of
from shared.contracts.registry import PostClosed, RegistryEvent
from shared.contracts.topics import TOPICS, Succession, Topic, with_old_versions
from shared.kernel.clock import system_clock
from shared.kernel.ids import new_id
from shared.messaging.bus import Bus
from shared.messaging.events import EventLog
from shared.runtime.mongo import Mongo
from shared.runtime.settings import Settings
from tests.conftest import eventually
from tests.events import YANTAI
from tests.integration.test_bus import Sink, is_up

LAST_DAY = date(2026, 6, 30)
BEFORE = datetime(2026, 6, 30, 23, 59, tzinfo=UTC)
AFTER = datetime(2026, 7, 1, 0, 0, tzinfo=UTC)


class PostClosedV2(RegistryEvent):
    """A post takes no one any more, and supervision may be why."""

    topic: ClassVar[str] = "post-closed.v2"
    major: ClassVar[int] = 2
    entity: ClassVar[str] = "post_id"

    post_id: OpenId
    version: Version
    city: City
    reason: Annotated[Literal["filled", "expired", "withdrawn", "stopped-by-supervision"], OPEN]
    round_no: Annotated[int, Field(ge=1, le=99, description="Supervision's round, where it was the reason."), OPEN] = 1
    closed_at: Instant


def as_version_1(event: PostClosedV2) -> PostClosed:
    """Version 1 knows no supervision; to its readers the post was withdrawn."""
    reason = "withdrawn" if event.reason == "stopped-by-supervision" else event.reason
    return PostClosed.model_validate({**event.model_dump(include=set(PostClosed.model_fields)), "reason": reason})


def closing(reason: str, version: int = 2, post_id: str | None = None) -> PostClosedV2:
    return PostClosedV2.model_validate(
        {
            "post_id": post_id or new_id("post"),
            "version": version,
            "city": YANTAI,
            "reason": reason,
            "closed_at": BEFORE,
        }
    )


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue with both versions."""
    monkeypatch.setitem(TOPICS, PostClosedV2.topic, Topic(PostClosedV2, "open", retention_ms=-1, compacted=True))
    monkeypatch.setattr(topics, "SUCCESSIONS", [Succession(PostClosed, PostClosedV2, LAST_DAY, as_version_1)])


@pytest.mark.usefixtures("side_by_side")
def test_it_is_a_new_version_because_it_would_break_the_old_one() -> None:
    old, new = schema_of(TOPICS["post-closed"]), schema_of(TOPICS["post-closed.v2"])
    shown = {breach.path: breach.event for breach in compare(old, new).breaches if breach.direction == "forward"}
    assert shown["reason"] is not None
    assert shown["reason"]["reason"] == "stopped-by-supervision"
    for reason in ("filled", "expired", "withdrawn", "stopped-by-supervision"):
        derived = as_version_1(closing(reason))
        validator_for(old).validate(derived.model_dump(mode="json"))
    assert (TOPICS["post-closed"].ends_on, TOPICS["post-closed"].replaced_by) == (LAST_DAY, "post-closed.v2")
    assert TOPICS["post-closed.v2"].ends_on is None


@pytest.mark.usefixtures("side_by_side")
def test_each_version_stands_on_its_own_topic_and_is_read_there_only() -> None:
    new, old = with_old_versions(closing("filled"), LAST_DAY)
    assert (new.type(), old.type()) == ("mamapost.post-closed.v2", "mamapost.post-closed.v1")
    assert (new.entity_id, new.entity_version) == (old.entity_id, old.entity_version)
    sent = [encode(Envelope(new_id("event"), BEFORE, event)) for event in (new, old)]
    assert dict(sent[0].headers)["ce_dataschema"] == b"urn:mamapost:schema:post-closed:v2"
    assert sent[0].partition == sent[1].partition
    for message, other in zip(sent, reversed(sent), strict=True):
        assert decode(message.topic, message.key, message.headers, message.value).event in (new, old)
        with pytest.raises(Undecodable) as refused:
            decode(other.topic, message.key, message.headers, message.value)
        assert refused.value.reason == "wrong-version"


@pytest.mark.usefixtures("side_by_side")
async def test_both_are_published_until_the_last_day_and_then_the_new_one_only(
    settings: Settings, mongo: Mongo
) -> None:
    log = EventLog(mongo.db, "registry")
    await log.ensure_indexes()
    registry = Bus(settings, "registry", mongo, log, system_clock)
    readers: dict[type[Any], Sink] = {PostClosed: Sink(), PostClosedV2: Sink()}
    buses = []
    for number, (version, sink) in enumerate(readers.items()):
        # Two subscribers, each with a group and a database of its own.
        own = settings.model_copy(update={"db_prefix": f"{settings.db_prefix}_{number}"})
        bus = Bus(own, "matching", mongo, EventLog(mongo.db, "matching"), system_clock)
        bus.consume([version], sink.apply)
        buses.append(bus)
    stopped, filled = closing("stopped-by-supervision"), closing("filled")
    late = closing("stopped-by-supervision")

    async def close(event: PostClosedV2, at: datetime) -> list[Envelope]:
        return await mongo.transaction(lambda session: log.append(session, [event], at))

    await registry.start()
    try:
        await is_up(registry)
        for bus in buses:
            await bus.start()
        told = [await close(stopped, BEFORE), await close(filled, BEFORE), await close(late, AFTER)]
        assert [[envelope.event for envelope in answer] for answer in told] == [[stopped], [filled], [late]]
        log.wake()
        mine = {event.entity_id for event in (stopped, filled, late)}

        def seen(version: type[Any]) -> dict[str, str]:
            applied = (envelope.event for envelope in readers[version].applied)
            return {event.entity_id: event.reason for event in applied if event.entity_id in mine}  # type: ignore[attr-defined]

        await eventually(lambda: len(seen(PostClosedV2)) == 3, "the new version was read")
        await eventually(lambda: len(seen(PostClosed)) >= 2, "the old version was read")
        assert seen(PostClosedV2) == {
            stopped.post_id: "stopped-by-supervision",
            filled.post_id: "filled",
            late.post_id: "stopped-by-supervision",
        }
        assert seen(PostClosed) == {stopped.post_id: "withdrawn", filled.post_id: "filled"}
        stored = await log.collection.distinct("topic", {"entity_id": late.post_id})
        assert stored == ["post-closed.v2"], "after the last day nothing is written to the old topic"
    finally:
        for bus in (*buses, registry):
            await bus.stop()
