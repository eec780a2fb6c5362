"""The demo's checks see what is wrong: each kind of fault is planted, and must be found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mamapost.demo.commands import check_commands, check_privacy
from mamapost.demo.reader import Reader
from mamapost.demo.rebates import _ledger, _suspense, _tiers, _wages, owed, posted
from mamapost.demo.report import Check, percentiles
from shared.contracts.envelope import Envelope
from shared.contracts.position import Position
from shared.kernel.ids import new_id
from shared.messaging.connection import Connection
from shared.runtime.settings import Settings
from tests.events import NOW, seeker_registered


@dataclass(frozen=True)
class Answer:
    """What a command was answered."""

    topic: str
    event_id: str
    position: str


def read(*envelopes: Envelope) -> Reader:
    """A reader that has read these, each as often as given."""
    reader = Reader(Connection(Settings(kafka="127.0.0.1:1")))
    for envelope in envelopes:
        reader.events.setdefault(envelope.id, envelope)
        reader.deliveries[envelope.id] += 1
        reader.sent_at[envelope.id] = datetime.now(UTC)
    return reader


def envelope(**given: Any) -> Envelope:
    return Envelope(new_id("event"), NOW, seeker_registered(**given))


def answer(to: Envelope) -> Answer:
    return Answer(to.event.topic, to.id, str(Position.of(to.event)))


def found(checks: list[Check]) -> list[bool]:
    return [check.ok for check in checks]


def test_the_same_event_delivered_twice_is_no_fault() -> None:
    one = envelope()
    assert found(check_commands([answer(one)], read(one, one))) == [True, True, True]


def test_a_lost_event_is_found() -> None:
    one, lost = envelope(), envelope()
    assert found(check_commands([answer(one), answer(lost)], read(one)))[0] is False


def test_a_second_event_for_one_command_is_found() -> None:
    one = envelope()
    double = Envelope(new_id("event"), NOW, one.event)
    assert found(check_commands([answer(one)], read(one, double)))[0] is False


def test_an_event_without_a_command_is_found() -> None:
    one, stray = envelope(), envelope()
    assert found(check_commands([answer(one)], read(one, stray)))[1] is False


def test_nothing_compared_is_no_success() -> None:
    assert not Check("empty").ok


def test_an_undecodable_message_and_a_dead_letter_are_found() -> None:
    one = envelope()
    reader = read(one)
    reader.undecodable.append("seeker-registered:0:7 not-json")
    assert found(check_commands([answer(one)], reader))[2] is False
    reader = read(one)
    reader.dead_letters.append(b"{}")
    assert found(check_commands([answer(one)], reader))[2] is False


@pytest.mark.parametrize("form", ["测试0001", "\\u6d4b\\u8bd50001"])
def test_a_name_on_a_topic_is_found_in_either_spelling(tmp_path: Path, form: str) -> None:
    reader = read(envelope())
    reader.raw["post-opened"].append(f'{{"trade": "{form}"}}'.encode())
    assert not check_privacy({"测试": "a name"}, reader, tmp_path).ok


def test_a_telephone_number_in_a_log_is_found(tmp_path: Path) -> None:
    (tmp_path / "registry.log").write_text('{"event": "registered", "phone": "000-0000-0001"}\n')
    assert not check_privacy({"000-0": "a telephone number"}, read(envelope()), tmp_path).ok


def test_an_exact_home_on_a_topic_is_found(tmp_path: Path) -> None:
    exact = envelope(home={"lat": 37.53123, "lon": 121.39})
    assert check_privacy({"测试": "a name"}, read(envelope()), tmp_path).ok
    assert not check_privacy({"测试": "a name"}, read(exact), tmp_path).ok


SHIFT = {
    "shift_id": "sft-1",
    "placement_id": "plc-1",
    "employer_id": "emp-1",
    "community_id": "com-1",
    "started_at": "2026-10-31T16:30:00Z",  # 00:30 on 1 November in China
    "verdict": "attended",
    "minutes": 181,
    "wage_fen": 5732,
    "base_fen": 9000,
}
AGREEMENT = {
    "employer_id": "emp-1",
    "community_id": "com-1",
    "base": "wages",
    "rate_bp": 750,
    "valid_from": "2026-11-01",
}


def test_a_rebate_is_base_times_rate_on_the_civil_day() -> None:
    assert owed([SHIFT], [AGREEMENT]).flat == {"sft-1": 5732 * 750}
    assert owed([SHIFT], [{**AGREEMENT, "base": "output"}]).flat == {"sft-1": 9000 * 750}
    assert owed([SHIFT], [{**AGREEMENT, "valid_from": "2026-11-02"}]).flat == {}
    assert owed([SHIFT], [{**AGREEMENT, "valid_until": date(2026, 10, 31).isoformat()}]).flat == {}


@pytest.mark.parametrize("amounts", [[], [5732 * 750 + 1], [5732 * 750, 5732 * 750]])
def test_a_missing_wrong_or_doubled_accrual_is_found(amounts: list[int]) -> None:
    lines = [line(amount_fen_e4=amount) for amount in amounts]
    assert not _ledger(owed([SHIFT], [AGREEMENT]), posted(lines)).ok


def line(**given: Any) -> dict[str, Any]:
    """An accrual of the shift."""
    return {"kind": "accrual", "shift_id": "sft-1", "base_fen": 5732, "agreement_id": "agr-1"} | given


TIERED = {**AGREEMENT, "agreement_id": "agr-1", "tiers": [{"from_fen": 5000, "rate_bp": 900}]}
BELOW = line(worked_month="2026-11", before_fen=0, base_fen=5000, amount_fen_e4=5000 * 750)
ABOVE = line(worked_month="2026-11", before_fen=5000, base_fen=732, amount_fen_e4=732 * 900)


def test_under_tiers_a_month_has_marginal_rates() -> None:
    expected = owed([SHIFT], [TIERED])
    assert expected.flat == {}
    assert expected.tiered == {"agr-1 in 2026-11": 5000 * 750 + 732 * 900}
    assert _tiers(expected, posted([BELOW, ABOVE])).ok


@pytest.mark.parametrize(
    "lines",
    [[BELOW], [BELOW, ABOVE, ABOVE], [{**BELOW, "shift_id": "sft-2"}, ABOVE], [BELOW, {**ABOVE, "amount_fen_e4": 1}]],
)
def test_what_tiers_do_not_come_to_is_found(lines: list[dict[str, Any]]) -> None:
    assert not _tiers(owed([SHIFT], [TIERED]), posted(lines)).ok


HELD = line(kind="suspense", amount_fen_e4=5732 * 500)
LEFT = line(kind="suspense-reversal", amount_fen_e4=-5732 * 500)
OTHER = {**SHIFT, "shift_id": "sft-2", "community_id": "com-2"}
STILL = {**HELD, "shift_id": "sft-2"}


@pytest.mark.parametrize(
    ("entries", "waiting", "holds"),
    [
        ([HELD, LEFT, STILL], ["sft-2"], True),
        ([HELD, STILL], ["sft-2"], False),
        ([HELD, LEFT, STILL], [], False),
        ([HELD, LEFT, STILL], ["sft-1", "sft-2"], False),
        ([HELD, LEFT], ["sft-2"], False),
        ([HELD, LEFT, {**STILL, "amount_fen_e4": 1}], ["sft-2"], False),
        ([STILL], ["sft-2"], False),
    ],
)
def test_who_has_an_agreement_left_suspense_and_nobody_else(
    entries: list[dict[str, Any]], waiting: list[str], holds: bool
) -> None:
    listed = [{"shift_id": shift_id} for shift_id in waiting]
    assert _suspense([SHIFT, OTHER], owed([SHIFT, OTHER], [AGREEMENT]), entries, listed).ok is holds


def test_a_changed_wage_is_found() -> None:
    terms = {"plc-1": {"pay": {"per": "hour", "fen": 1900}}}
    assert _wages([SHIFT], terms).ok
    assert not _wages([{**SHIFT, "wage_fen": 5731}], terms).ok


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(100)]) == {"p50": 50.0, "p99": 99.0}
    assert percentiles([]) == {"p50": 0.0, "p99": 0.0}
