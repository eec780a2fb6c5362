"""Agreements of the pilot communities, settlements of the month, and what the funds pay for."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import Community, Employer, Post
from mamapost.scenario.yantai.work import Shift
from shared.kernel.clock import month_of
from shared.kernel.money import RATE_BP_MAX, RATE_BP_MIN, settle_e4

Base = Literal["wages", "output"]
Pair = tuple[str, str]
"""Refs of employer and community."""

RENEWED_PERCENT = 5
"""Pairs whose agreement was renewed at another rate in the middle of the month."""

SPENT_PERCENT_MOST = 70
"""How much of a fund is spent at most; the rest is kept."""

PURPOSES: tuple[tuple[str, str], ...] = (
    ("lighting", "6 LED lights for the square"),
    ("child-care-lecture", "lecture on child care with a paediatrician"),
    ("clinic", "free clinic for women and children"),
    ("home-visit", "visits to mothers in need"),
    ("painting", "painting the walls of the square"),
    ("activity", "reading afternoon for children"),
)
"""What the pilot communities spent their money on (FACTS.md, Money, Y)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version; its days do not overlap with those of another of the same pair."""

    ref: str
    pair: Pair
    community: Community
    base: Base
    rate_bp: int
    valid_from: date
    valid_until: date | None
    body: Body


def agreements(dice: Dice, month: date, posts: Sequence[Post]) -> list[Agreement]:
    """One for each employer that has posts at the station of a pilot community; a few were renewed in mid-month."""
    pairs: dict[Pair, tuple[Employer, Community]] = {}
    for post in posts:
        community = post.community
        if community is not None and community.pilot:
            pairs.setdefault((post.employer.ref, community.ref), (post.employer, community))
    found: list[Agreement] = []
    for index, (employer, community) in enumerate(pairs.values()):
        base: Base = "output" if employer.reports_output else "wages"
        since = dice.pick((month, month.replace(month=1, day=1), month - timedelta(days=dice.between(10, 200))))
        until = dice.pick((None, date(month.year + 1, 12, 31)))
        terms = [(since, until)]
        if index == 0 or dice.chance(RENEWED_PERCENT):
            renewed = month + timedelta(days=dice.between(9, 19))
            terms = [(since, renewed - timedelta(days=1)), (renewed, until)]
        for valid_from, valid_until in terms:
            rate = dice.between(RATE_BP_MIN // 25, RATE_BP_MAX // 25) * 25
            found.append(_agreement(len(found) + 1, employer, community, base, rate, valid_from, valid_until))
    return found


def _agreement(
    number: int,
    employer: Employer,
    community: Community,
    base: Base,
    rate_bp: int,
    valid_from: date,
    valid_until: date | None,
) -> Agreement:
    body: Body = {
        "employer_id": f"@{employer.ref}",
        "community_id": f"@{community.ref}",
        "base": base,
        "rate_bp": rate_bp,
        "valid_from": valid_from.isoformat(),
        "signatories": {
            "federation": "示例区妇女联合会",
            "employer": employer.body["name"],
            "community": community.body["name"],
        },
    }
    if valid_until is not None:
        body["valid_until"] = valid_until.isoformat()
    pair = (employer.ref, community.ref)
    return Agreement(f"agreement:{number}", pair, community, base, rate_bp, valid_from, valid_until, body)


class Rebates:
    """What the agreements make of shifts; for what the driver must wait for and what a fund can pay."""

    def __init__(self, signed: Sequence[Agreement]) -> None:
        self._of_pair: defaultdict[Pair, list[Agreement]] = defaultdict(list)
        for agreement in signed:
            self._of_pair[agreement.pair].append(agreement)

    def accrued_e4(self, shift: Shift) -> int:
        """Rebate of a shift in fen × 10 000; 0 if nothing is owed."""
        agreement = self._agreement(shift)
        if agreement is None:
            return 0
        wage = shift.wage_fen
        output = wage if shift.output_fen is None else shift.output_fen
        return (wage if agreement.base == "wages" else output) * agreement.rate_bp

    def _agreement(self, shift: Shift) -> Agreement | None:
        community = shift.placing.post.community
        if community is None:
            return None
        for agreement in self._of_pair.get((shift.placing.post.employer.ref, community.ref), ()):
            if agreement.valid_from <= shift.day and (
                agreement.valid_until is None or shift.day <= agreement.valid_until
            ):
                return agreement
        return None

    def by_pair(self, stands: Sequence[Shift]) -> dict[Pair, int]:
        """Rebates of shifts as they stand, by pair, in fen × 10 000; pairs without any are left out."""
        sums: defaultdict[Pair, int] = defaultdict(int)
        for shift in stands:
            community = shift.placing.post.community
            amount = self.accrued_e4(shift)
            if amount and community is not None:
                sums[shift.placing.post.employer.ref, community.ref] += amount
        return dict(sums)


def settlement(pair: Pair, month: date) -> Body:
    return {"employer_id": f"@{pair[0]}", "community_id": f"@{pair[1]}", "month": month_of(month)}


def funds(sums: dict[Pair, int]) -> dict[str, int]:
    """What each community's fund holds after the settlements, in fen, by ref."""
    found: defaultdict[str, int] = defaultdict(int)
    for (_, community), sum_e4 in sums.items():
        found[community] += settle_e4(sum_e4)[0]
    return dict(found)


def spendings(dice: Dice, funds_fen: dict[str, int]) -> list[tuple[str, Body]]:
    """Community and spending; together never more than the fund holds."""
    found: list[tuple[str, Body]] = []
    for community, fund in funds_fen.items():
        left = fund * SPENT_PERCENT_MOST // 100
        for _ in range(dice.between(1, 4)):
            amount = left * dice.between(20, 60) // 100
            if amount < 1:
                break
            left -= amount
            found.append((community, spending(len(found) + 1, dice.pick(PURPOSES), amount)))
    return found


def spending(number: int, purpose: tuple[str, str], amount_fen: int) -> Body:
    """A request with a receipt of its own: a PDF that says nothing."""
    receipt = base64.b64encode(f"%PDF-1.4\n% receipt {number}\n%%EOF\n".encode()).decode()
    return {"category": purpose[0], "amount_fen": amount_fen, "purpose": purpose[1], "receipt": receipt}
