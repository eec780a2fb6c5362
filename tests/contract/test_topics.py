"""The catalogue: partitions, access, and what each topic promises (promises 3 and 4)."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import PSEUDONYMOUS, Event, Payload, payloads_in
from shared.contracts.golden import class_of, hints_of
from shared.contracts.topics import MESSAGE_MAX_BYTES, PARTITIONS, TOPICS, partition_of
from shared.kernel.ids import ID_PATTERN
from shared.messaging.topics import ensure_topics


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_a_partition_is_what_any_kafka_client_computes(text: str, hashed: int) -> None:
    positive = hashed & 0x7FFF_FFFF
    assert partition_of(text, 2**31) == positive
    assert [partition_of(text, n) for n in (1, 6, 12)] == [positive % n for n in (1, 6, 12)]


def test_a_city_is_in_one_partition_of_every_topic() -> None:
    assert {encode(envelope).partition for envelope in EXAMPLES.values()} == {partition_of("370600")}
    assert {partition_of(f"{code}00") for code in range(1101, 6600)} == set(range(PARTITIONS))


async def test_all_topics_are_made_with_equal_partitions_and_their_dead_letters() -> None:
    class Admin:
        """An empty broker that keeps what it is asked to make."""

        def __init__(self) -> None:
            self.made: list[NewTopic] = []

        async def list_topics(self) -> list[str]:
            return []

        async def create_topics(self, wanted: list[NewTopic]) -> Any:
            self.made = wanted
            return type("Response", (), {"topic_errors": [(topic.name, 0, None) for topic in wanted]})

    admin = Admin()
    await ensure_topics(admin, list(TOPICS), 3)
    made = {topic.name: topic for topic in admin.made}
    assert {made[name].num_partitions for name in TOPICS} == {PARTITIONS}
    assert set(made) == {*TOPICS, *(topic.dead_letters for topic in TOPICS.values())}
    for name, topic in TOPICS.items():
        configs = made[name].topic_configs
        assert configs["cleanup.policy"] == ("compact" if topic.compacted else "delete")
        assert configs["retention.ms"] == str(topic.retention_ms)
        assert configs["max.message.bytes"] == str(MESSAGE_MAX_BYTES)
        assert configs["min.insync.replicas"] == "2"


def test_a_topic_is_named_after_its_event_and_owned_by_its_producer() -> None:
    for name, topic in TOPICS.items():
        words = re.findall("[A-Z][a-z]+", topic.event.__name__)
        assert name == "-".join(words).lower()
        assert topic.owner in ("registry", "matching", "training", "revenue")
        assert topic.event.__module__ == f"shared.contracts.{topic.owner}"
        assert topic.meaning.endswith((".", ".”"))
        assert {topic.event.entity, topic.event.order, "city"} <= set(topic.event.model_fields)


def test_what_is_kept_for_ever_is_compacted_and_the_rest_ends() -> None:
    for topic in TOPICS.values():
        assert topic.compacted == (topic.retention_ms == -1)


# --- access -----------------------------------------------------------------------------------------------------------

EARNINGS_OR_HOURS = re.compile(r"(^|_)(fen|fen_e4|wage|pay|earnings|minutes|hours|started_at|pieces)$")
"""Names of fields that hold money, or time worked."""

NOT_EARNED = {
    "seeker-registered.pay_floor_fen": "what she asks for; nobody has paid it. It tells of her all the same",
    "ranking-changed.top.parts.pay": "points that a post gets for its pay above her floor, not an amount",
}
"""Fields of a pseudonym that only look like earnings, with the reason."""


def fields_of(event: type[Payload], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of an event and of the payloads in it: dotted path and type hint."""
    for name, hint in hints_of(event).items():
        yield f"{path}{name}", hint
        for part in payloads_in(hint):
            yield from fields_of(part, f"{path}{name}.")


def is_pseudonym(hint: Any) -> bool:
    return class_of(hint) is PSEUDONYMOUS and ID_PATTERN in repr(hint)


def earnings_or_hours_of(event: type[Event]) -> set[str]:
    """Paths of the fields that hold money or hours, whosever they are."""
    return {
        path
        for path, _ in fields_of(event)
        if EARNINGS_OR_HOURS.search(path.rpartition(".")[2]) and f"{event.topic}.{path}" not in NOT_EARNED
    }


def tells_where_she_works(event: type[Event]) -> bool:
    """A placement beside its post: pay and hours of the post stand on an open topic, so they are hers."""
    pseudonyms = {path for path, hint in fields_of(event) if is_pseudonym(hint)}
    return "placement_id" in pseudonyms and "post_id" in event.model_fields


def describes_her(event: type[Event]) -> bool:
    """A field that is no id and is classed, itself or around it, as telling something of one woman."""
    return any(PSEUDONYMOUS in typing.get_args(hint) and not is_pseudonym(hint) for _, hint in fields_of(event))


def must_be_restricted(event: type[Event]) -> bool:
    has_pseudonym = any(is_pseudonym(hint) for _, hint in fields_of(event))
    return has_pseudonym and (bool(earnings_or_hours_of(event)) or tells_where_she_works(event) or describes_her(event))


def test_restricted_is_what_tells_something_of_a_woman_beside_her_pseudonym() -> None:
    computed = {name for name, topic in TOPICS.items() if must_be_restricted(topic.event)}
    assert computed == {name for name, topic in TOPICS.items() if topic.access == "restricted"}
    assert computed == {
        "seeker-registered",
        "shift-completed",
        "placement-made",
        "placement-ended",
        "rebate-accrued",
        "offer-made",
        "offer-settled",
    }


def test_the_rule_rests_on_what_the_models_hold() -> None:
    """Otherwise a renamed field would make the rule blind."""
    known = {f"{name}.{path}" for name, topic in TOPICS.items() for path, _ in fields_of(topic.event)}
    assert set(NOT_EARNED) <= known
    assert {"post-opened.pay.fen", "post-opened.hours"} <= known
    assert earnings_or_hours_of(TOPICS["shift-completed"].event) >= {"minutes", "wage_fen", "base_fen", "pieces"}
    assert earnings_or_hours_of(TOPICS["placement-made"].event) == {"hours"}
    assert earnings_or_hours_of(TOPICS["rebate-accrued"].event) == {"base_fen", "before_fen", "amount_fen_e4"}


def test_who_lives_where_and_is_free_when_is_told_on_a_restricted_topic_only() -> None:
    hints = dict(fields_of(TOPICS["seeker-registered"].event))
    for path in ("area", "home", "commute_km", "free", "skills", "pay_floor_fen", "eligible_until"):
        assert class_of(hints[path]) is PSEUDONYMOUS, path


def test_earnings_and_hours_on_a_restricted_topic_are_classed_as_hers() -> None:
    for topic in TOPICS.values():
        if topic.access == "restricted":
            hints = dict(fields_of(topic.event))
            for path in earnings_or_hours_of(topic.event):
                assert class_of(hints[path]) is PSEUDONYMOUS, f"{topic.name}.{path}"


def test_every_id_of_a_person_or_of_what_is_hers_alone_is_a_pseudonym() -> None:
    hers = {"seeker_id", "placement_id", "shift_id", "entry_id", "enrolment_id", "certificate_id", "offer_id"}
    for topic in TOPICS.values():
        for path, hint in fields_of(topic.event):
            if path.endswith("_id"):
                assert is_pseudonym(hint) == (path.rpartition(".")[2] in hers), f"{topic.name}.{path}"
