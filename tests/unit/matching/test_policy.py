"""Policies: what may be adopted, how it is told, and how it comes back from its topic in any order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.matching.domain import (
    Fact,
    Limits,
    Policy,
    Programme,
    Schedule,
    Weights,
    policies_of,
    policy_id_of,
    policy_on,
    view_of,
)
from services.matching.domain.policy import CHANGE_AHEAD_DAYS, POLICIES_MAX, policy_faults
from services.matching.errors import PoliciesFull, PolicyInvalid
from services.matching.facts import Unusable, fact_of
from services.matching.ports import Adoption
from services.matching.use_cases.policies import adopt_policy
from shared.contracts.envelope import Envelope, decode, encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.fields import Event
from shared.contracts.matching import PolicyAdopted
from shared.contracts.topics import MESSAGE_MAX_BYTES
from shared.kernel.ids import ID_PATTERN
from tests.unit.matching.cities import ELSEWHERE, YANTAI

NOW = datetime(2026, 3, 9, 17, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
"""In China; in UTC it is still the ninth."""

EVEN = Weights(40, 10, 10, 10, 10, 10, 10)
NEAR = Weights(20, 30, 10, 10, 10, 10, 10)


class Memory:
    """The `PolicyStore` in memory."""

    def __init__(self) -> None:
        self.policies: dict[str, list[Adoption]] = {}
        self.events: list[PolicyAdopted] = []

    async def adopted(self, city: str) -> Sequence[Adoption]:
        return self.policies.get(city, [])

    async def save(self, city: str, adoptions: Sequence[Adoption]) -> None:
        self.policies[city] = list(adoptions)

    async def publish(self, event: Event, at: datetime) -> Envelope:
        assert isinstance(event, PolicyAdopted)
        self.events.append(event)
        return Envelope(f"evt-{len(self.events):032x}", at, event)


async def adopt(
    store: Memory, valid_from: date, weights: Weights = EVEN, limits: tuple[int, int] = (40_000, 26), city: str = YANTAI
) -> Envelope:
    return await adopt_policy(city, valid_from, weights, *limits, store=store, now=NOW)


async def test_each_event_holds_every_version_so_far() -> None:
    store = Memory()
    days = [TODAY, TODAY + timedelta(days=1), TODAY + timedelta(days=90)]
    for day in days:
        await adopt(store, day)
    assert [event.version for event in store.events] == [1, 2, 3]
    assert {event.policy_id for event in store.events} == {policy_id_of(YANTAI)}
    last = store.events[-1]
    assert [*(policy.valid_from for policy in last.earlier), last.valid_from] == days
    assert last.adopted_at == NOW
    other = await adopt(store, TODAY, city=ELSEWHERE)
    assert (other.event.entity_version, other.event.entity_id) == (1, policy_id_of(ELSEWHERE))


@given(order=st.permutations([0, 1, 2, 3]), repeated=st.lists(st.integers(0, 3), max_size=3))
async def test_a_later_version_holds_from_its_day_whatever_the_order_of_arrival(
    order: list[int], repeated: list[int]
) -> None:
    store = Memory()
    days = [TODAY, TODAY + timedelta(days=10), TODAY + timedelta(days=11), TODAY + timedelta(days=400)]
    for number, day in enumerate(days):
        await adopt(store, day, EVEN if number % 2 else NEAR)
    facts = [fact_of(store.events[index]) for index in (*order, *repeated)]
    programme = Programme.of(facts)
    for number, (day, following) in enumerate(itertools.pairwise([*days, days[-1] + timedelta(days=9)])):
        for asked in (day, following - timedelta(days=1)):
            policy = policy_on(YANTAI, asked, policies_of(programme))
            assert (policy.city, policy.version, policy.weights) == (YANTAI, number + 1, EVEN if number % 2 else NEAR)
    assert policy_on(YANTAI, TODAY - timedelta(days=1), policies_of(programme)).city == "*"
    assert policy_on(ELSEWHERE, TODAY, policies_of(programme)).city == "*"
    assert view_of(programme, NOW).policy_of(YANTAI).version == 1
    assert view_of(programme, NOW + timedelta(days=10)).policy_of(YANTAI).version == 2


async def test_the_newest_version_alone_says_everything() -> None:
    """As after a compaction of the topic, which drops the others."""
    store = Memory()
    for days in range(4):
        await adopt(store, TODAY + timedelta(days=days))
    whole, compacted = Programme.of(map(fact_of, store.events)), Programme.of([fact_of(store.events[-1])])
    assert policies_of(whole) == policies_of(compacted)
    assert len(policies_of(compacted)) == 5


@pytest.mark.parametrize(
    ("valid_from", "weights", "limits", "faults"),
    [
        (TODAY - timedelta(days=1), EVEN, (40_000, 26), {"valid_from": "2026-03-10 or later"}),
        (TODAY + timedelta(days=CHANGE_AHEAD_DAYS), EVEN, (1_000, 1), {}),
        (
            TODAY + timedelta(days=CHANGE_AHEAD_DAYS + 1),
            EVEN,
            (40_000, 26),
            {"valid_from": f"at most {CHANGE_AHEAD_DAYS} days ahead"},
        ),
        (TODAY, Weights(40, 10, 10, 10, 10, 10, 9), (100_000, 520), {"weights": "seven numbers >= 0 that sum to 100"}),
        (
            TODAY,
            Weights(50, -10, 20, 10, 10, 10, 10),
            (999, 521),
            {
                "weights": "seven numbers >= 0 that sum to 100",
                "limits.commute_max_m": "1000 to 100000",
                "limits.waiting_full_weeks": "1 to 520",
            },
        ),
        (
            TODAY,
            EVEN,
            (100_001, 0),
            {"limits.commute_max_m": "1000 to 100000", "limits.waiting_full_weeks": "1 to 520"},
        ),
    ],
)
async def test_what_cannot_be_adopted_names_every_field_and_changes_nothing(
    valid_from: date, weights: Weights, limits: tuple[int, int], faults: dict[str, str]
) -> None:
    store = Memory()
    if not faults:
        await adopt(store, valid_from, weights, limits)
        assert len(store.events) == 1
        return
    with pytest.raises(PolicyInvalid) as caught:
        await adopt(store, valid_from, weights, limits)
    assert {fault.field: fault.expected for fault in caught.value.faults} == faults
    assert store.policies == {}
    assert store.events == []


@pytest.mark.parametrize("days", [-1, 0, 29, 30])
async def test_a_policy_begins_after_every_one_before_it(days: int) -> None:
    store = Memory()
    await adopt(store, TODAY + timedelta(days=30))
    with pytest.raises(PolicyInvalid) as caught:
        await adopt(store, TODAY + timedelta(days=days))
    (fault,) = caught.value.faults
    assert (fault.field, fault.expected) == ("valid_from", "a day after 2026-04-09, from which the latest policy holds")
    await adopt(store, TODAY + timedelta(days=31))


def test_a_latest_policy_of_the_past_does_not_hide_that_the_day_is_over() -> None:
    old = Policy(YANTAI, 1, TODAY - timedelta(days=90), EVEN)
    (fault,) = policy_faults([old], TODAY - timedelta(days=1), EVEN, (40_000, 26), TODAY)
    assert fault.expected == "2026-03-10 or later"
    assert policy_faults([old], TODAY, EVEN, (40_000, 26), TODAY) == []


async def test_the_largest_schedule_fits_a_message_and_no_larger_one_is_adopted() -> None:
    store = Memory()
    for days in range(POLICIES_MAX):
        await adopt(store, TODAY + timedelta(days=days), limits=(100_000, 520))
    message = encode(Envelope("evt-" + 32 * "0", NOW, store.events[-1]))
    assert len(message.value) < MESSAGE_MAX_BYTES / 4
    with pytest.raises(PoliciesFull):
        await adopt(store, TODAY + timedelta(days=POLICIES_MAX))
    with pytest.raises(ValidationError, match="earlier"):
        PolicyAdopted.model_validate(
            store.events[-1].model_dump() | {"earlier": store.events[-1].earlier + store.events[-1].earlier}
        )


def test_the_id_of_a_city_s_policy_follows_from_its_code() -> None:
    assert policy_id_of(YANTAI) != policy_id_of(ELSEWHERE)
    assert policy_id_of("370600") == "pol-e913bf446e31864210e333857f5af6b8"
    assert re.fullmatch(ID_PATTERN, policy_id_of(YANTAI))


def test_the_published_example_is_a_fact() -> None:
    (example,) = (one.event for one in EXAMPLES.values() if isinstance(one.event, PolicyAdopted))
    fact = fact_of(example)
    assert isinstance(fact.state, Schedule)
    assert (fact.kind, fact.id, fact.version) == ("policy", policy_id_of(YANTAI), 2)
    assert [policy.limits for policy in fact.state.policies] == [Limits(60_000, 26), Limits(40_000, 26)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"policy_id": policy_id_of(ELSEWHERE)}, "policy_id: expected the id of the city's policy"),
        ({"earlier": ()}, "earlier: expected all versions before this one"),
        ({"version": 3}, "earlier: expected all versions before this one"),
        ({"weights": dict.fromkeys(Weights._fields, 0)}, "weights: expected seven numbers"),
    ],
)
def test_an_event_that_no_rule_can_work_with_is_refused(change: dict[str, object], field: str) -> None:
    (example,) = (one.event for one in EXAMPLES.values() if isinstance(one.event, PolicyAdopted))
    changed = PolicyAdopted.model_validate(example.model_dump() | change)
    with pytest.raises(Unusable, match=f"^{field}"):
        fact_of(changed)


async def test_an_event_survives_the_bus() -> None:
    store = Memory()
    await adopt(store, TODAY)
    envelope = await adopt(store, TODAY + timedelta(days=3), NEAR)
    message = encode(envelope)
    assert decode(message.topic, message.key, message.headers, message.value).event == envelope.event
    assert isinstance(fact_of(envelope.event), Fact)
