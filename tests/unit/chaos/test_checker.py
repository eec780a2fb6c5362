"""The checker finds every kind of violation, once it is planted, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from mamapost.chaos.checker.verdict import Verdict, Violation
from mamapost.chaos.evidence import Letter, Logged
from mamapost.chaos.history import Answered, Effect, Invoked, Ranking, Unknown
from shared.contracts.position import Position
from tests.unit.chaos.story import BROKER, Story, line, story
from tests.unit.matching.wire import id_of, post_opened, seeker_registered


@pytest.fixture
def told() -> Story:
    return story()


def found(verdict: Verdict) -> dict[Violation, int]:
    """Kinds of violations that were found."""
    kinds: tuple[Violation, ...] = ("lost", "doubled", "wrong_ranks", "imbalance", "other")
    return {kind: verdict.count(kind) for kind in kinds if verdict.count(kind)}


def names(verdict: Verdict) -> list[str]:
    return [check.name for _, check in verdict.checks if check.mismatches_found]


def test_a_run_without_a_violation_holds(told: Story) -> None:
    verdict = told.judged()
    assert found(verdict) == {}
    assert verdict.ok
    assert (verdict.imbalance_fen_e4, verdict.unverified) == (0, 0)
    assert all(check.count for _, check in verdict.checks), "every check has something to compare"


# --- lost ---


def test_an_accepted_command_that_is_not_kept(told: Story) -> None:
    command = next(entry for entry in told.entries if isinstance(entry, Answered))
    lost = command.effects[0].event_id
    del told.log[lost]
    told.messages = [m for m in told.messages if m.envelope is None or m.envelope.id != lost]
    assert found(told.judged())["lost"] == 1


def test_a_row_of_an_upload_that_is_not_kept(told: Story) -> None:
    rows = (Effect(1, next(iter(told.log)), next(iter(told.log.values())).position), Effect(2, "evt-gone", "gone"))
    told.entries += [Invoked(0, "upload", "registry", "/seekers/bulk"), Answered(0, "upload", "registry", 200, rows)]
    verdict = told.judged()
    assert found(verdict) == {"lost": 1}


def test_an_event_that_was_never_published(told: Story) -> None:
    shift = next(m for m in told.messages if m.spot.topic == "agreement-signed")
    told.messages.remove(shift)
    verdict = told.judged()
    assert "every event kept is on its topic" in names(verdict)
    assert found(verdict)["lost"] >= 1


def test_a_broker_that_was_wiped_and_not_refilled(told: Story) -> None:
    told.generations.append("bbbbbbbb")
    assert found(told.judged())["lost"] == len(told.log)


def test_a_broker_that_was_wiped_and_refilled(told: Story) -> None:
    before = [message for message in told.messages if message.envelope is not None]
    told.generations.append("bbbbbbbb")
    for message in before:
        assert message.envelope is not None
        told.publish(message.envelope)
    assert found(told.judged()) == {}


def test_a_last_revision_that_was_not_accrued(told: Story) -> None:
    told.ledger = told.ledger[:2]
    verdict = told.judged()
    assert "ledger: each last revision is accrued" in names(verdict)
    assert verdict.imbalance_fen_e4 == 6000 * 1000


# --- doubled ---


def test_a_repeated_request_that_was_done_again(told: Story) -> None:
    again = told.envelope(seeker_registered(9))
    told.keep(again)
    told.publish(again)
    first = next(entry for entry in told.entries if isinstance(entry, Answered))
    told.entries.append(told.answer(first.key, again))
    assert found(told.judged()) == {"doubled": 1}


def test_an_event_that_no_command_made(told: Story) -> None:
    stray = told.envelope(seeker_registered(9))
    told.keep(stray)
    told.publish(stray)
    verdict = told.judged()
    assert found(verdict) == {"doubled": 1}


def test_a_command_without_an_answer_may_have_made_an_event(told: Story) -> None:
    unseen = told.envelope(seeker_registered(9))
    told.keep(unseen)
    told.publish(unseen)
    told.entries += [Invoked(0, "open", "registry", "/seekers"), Unknown(0, "open", "registry", "ReadTimeout")]
    assert found(told.judged()) == {}


def test_a_version_that_was_made_twice(told: Story) -> None:
    twin = told.envelope(seeker_registered(2, version=2, pay_floor_fen=1400))
    told.keep(twin)
    told.publish(twin)
    assert "one event for each version of an entity" in names(told.judged())


def test_an_event_that_was_published_and_taken_back(told: Story) -> None:
    told.publish(told.envelope(post_opened(7)))
    assert names(told.judged()) == ["every message is an event kept, unchanged"]


def test_an_event_that_is_kept_with_another_content(told: Story) -> None:
    event_id, kept = next(iter(told.log.items()))
    told.log[event_id] = Logged(kept.event_id, kept.position, b"another", kept.cause)
    assert names(told.judged()) == ["every message is an event kept, unchanged"]


def test_a_revision_that_was_accrued_twice(told: Story) -> None:
    told.post(line(4, 2, 6000))
    verdict = told.judged()
    assert found(verdict) == {"doubled": 1, "imbalance": 1}
    assert verdict.imbalance_fen_e4 == 6000 * 1000


def test_a_line_that_was_never_told(told: Story) -> None:
    told.ledger += [line(4, 2, 6000).model_dump(mode="json"), line(5, 2, 6000, "reversal").model_dump(mode="json")]
    assert "ledger: its lines are those on `rebate-accrued`" in names(told.judged())


# --- order ---


def test_an_older_version_that_first_comes_after_a_newer_one(told: Story) -> None:
    at = [n for n, m in enumerate(told.messages) if m.envelope and m.envelope.event.entity_id == id_of("skr", 2)]
    one, two = (told.messages[n] for n in at)
    told.messages[at[0]], told.messages[at[1]] = replace(two, spot=one.spot), replace(one, spot=two.spot)
    assert "versions come in order, in one partition" in names(told.judged())


def test_an_older_version_that_comes_again_is_allowed(told: Story) -> None:
    first = told.messages[1].envelope
    assert first is not None
    told.publish(first)
    assert found(told.judged()) == {}


def test_an_entity_in_two_partitions(told: Story) -> None:
    newer = told.envelope(seeker_registered(2, version=3))
    told.entries += [Invoked(0, "k", "registry", "/seekers"), told.answer("k", newer)]
    told.keep(newer)
    told.publish(newer, partition=(told.messages[0].spot.partition + 1) % 6)
    assert names(told.judged()) == ["versions come in order, in one partition"]


# --- dead letters and personal data ---


def test_poison_that_nobody_set_aside(told: Story) -> None:
    told.letters.clear()
    assert names(told.judged()) == ["poison is dead-lettered by each consumer"]


def test_a_good_event_that_was_set_aside(told: Story) -> None:
    told.letters.append(Letter("matching", told.messages[0].spot))
    assert names(told.judged()) == ["nothing but poison is dead-lettered"]


def test_a_message_of_a_service_that_is_no_event(told: Story) -> None:
    told.put("agreement-signed", None, b"{}", injected=False)
    assert names(told.judged()) == ["nothing but poison is dead-lettered"]


@pytest.mark.parametrize("text", ["测试 somebody".encode(), b'{"name": "\\u6d4b\\u8bd5"}'])
def test_personal_data(told: Story, text: bytes) -> None:
    told.raw["post-opened.dlq"] = [text]
    assert names(told.judged()) == ["no personal data on topics or in logs"]


# --- rankings ---


def test_a_ranking_with_a_place_too_few(told: Story) -> None:
    told.entries.append(told.ranking(top=told.ranking().top[1:]))
    assert found(told.judged()) == {"wrong_ranks": 1}


def test_a_ranking_with_another_score(told: Story) -> None:
    top = told.ranking().top
    told.entries.append(told.ranking(top=(msgspec.structs.replace(top[0], score=top[0].score + 1), *top[1:])))
    assert found(told.judged()) == {"wrong_ranks": 1}


def test_a_ranking_of_an_earlier_state_than_it_says(told: Story) -> None:
    stale = told.ranking()
    told.command(seeker_registered(4, commute_km=40))
    told.entries.append(msgspec.structs.replace(stale, positions=(str(told.position()),)))
    assert found(told.judged()) == {"wrong_ranks": 1}


def test_a_ranking_that_does_not_show_what_was_asked_for(told: Story) -> None:
    asked = str(Position.of(seeker_registered(1, version=2)))
    told.entries.append(told.ranking(after=asked))
    assert found(told.judged()) == {"wrong_ranks": 1}


def test_a_published_ranking_that_the_rules_do_not_give(told: Story) -> None:
    ranking = told.ranking()
    wrong = told.envelope(told.told(msgspec.structs.replace(ranking, top=ranking.top[::-1]), 2))
    told.keep(wrong)
    told.publish(wrong)
    assert found(told.judged()) == {"wrong_ranks": 1}


def test_a_ranking_of_what_only_a_lost_broker_held_is_not_judged(told: Story) -> None:
    ranking = told.ranking()
    beyond = told.position()
    further = replace(beyond, offsets=tuple(offset + 1 for offset in beyond.offsets))
    told.entries += [
        msgspec.structs.replace(ranking, positions=(), top=()),
        msgspec.structs.replace(ranking, positions=(str(further),), top=()),
    ]
    verdict = told.judged()
    assert found(verdict) == {}
    assert verdict.unverified == 2


def test_a_position_is_judged_by_its_own_broker(told: Story) -> None:
    reads = [entry for entry in told.entries if isinstance(entry, Ranking)]
    assert all(BROKER in position for read in reads for position in read.positions)
    good = [m.envelope for m in told.messages if m.envelope is not None]
    told.generations.append("bbbbbbbb")
    for envelope in reversed(good):  # another order: the same offsets stand for something else here
        told.publish(envelope)
    verdict = told.judged()
    assert "rankings read meanwhile equal the rules" not in names(verdict)


# --- money ---


def test_an_amount_that_is_a_little_off(told: Story) -> None:
    told.ledger[2]["amount_fen_e4"] += 1
    verdict = told.judged()
    assert found(verdict) == {"imbalance": 1}
    assert verdict.imbalance_fen_e4 == 1


def test_debits_that_are_not_credits(told: Story) -> None:
    told.audits[0]["debits_fen_e4"] += 3
    verdict = told.judged()
    assert found(verdict) == {"imbalance": 1}
    assert verdict.imbalance_fen_e4 == 3


def test_a_broken_chain(told: Story) -> None:
    told.audits[0]["findings"].append({"rule": "chain", "where": "entry 2"})
    assert found(told.judged()) == {"imbalance": 1}


def test_a_ranking_of_two_brokers_is_made_of_both(told: Story) -> None:
    lost = told.ranking()
    told.generations.append("bbbbbbbb")
    for message in list(told.messages):
        if message.envelope is not None:
            told.publish(message.envelope)
    told.command(seeker_registered(4))
    both = (str(told.position()), *lost.positions)
    assert len(told.ranking().top) > len(lost.top)
    told.entries.append(told.ranking(positions=both))
    assert found(told.judged()) == {}
    told.entries.append(told.ranking(positions=both, top=lost.top))
    assert found(told.judged()) == {"wrong_ranks": 1}
