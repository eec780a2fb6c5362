"""Agreements of the pilot communities, settlements of the month, what the funds pay for, and what others give."""

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
from mamapost.scenario.yantai.work import Pair, Shift
from shared.kernel.clock import month_of
from shared.kernel.money import RATE_BP_MAX, RATE_BP_MIN, settle_e4

Base = Literal["wages", "output"]
Tiers = tuple[tuple[int, int], ...]

RENEWED_PERCENT = 5
"""Pairs whose agreement was renewed at another rate in the middle of the month."""

TIERED_PERCENT = 8
"""Pairs that agreed on marginal rates: the more a month brings, the higher the rate of what comes on top."""

LATE_PERCENT = 3
"""Pairs that signed only after the month: until then their shifts wait in suspense."""

REVERSED_PERCENT = 3
"""Settlements that are reversed, since a list of shifts was wrong, and made anew after its correction."""

LATE_CORRECTIONS = 2
"""Shifts of such a list that are corrected then."""

DECLINED_PERCENT = 8
"""Spending requests that the second person declines."""

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
    """One version; its days do not overlap with those of another of the same pair.

    Attributes:
        rate_bp: with tiers, of the first part of a month's base.
        tiers: from which amount on (fen) which rate holds, ascending.
        late: signed after the month.
    """

    ref: str
    pair: Pair
    community: Community
    base: Base
    rate_bp: int
    tiers: Tiers
    valid_from: date
    valid_until: date | None
    late: bool
    body: Body

    def rebate_e4(self, base_fen: int) -> int:
        """Rebate of a month's base in fen × 10 000: each part at its own rate."""
        starts = (0, *(start for start, _ in self.tiers))
        rates = (self.rate_bp, *(rate for _, rate in self.tiers))
        parts = zip(starts, (*starts[1:], base_fen), rates, strict=True)
        return sum(max(min(end, base_fen) - start, 0) * rate for start, end, rate in parts)


def agreements(dice: Dice, month: date, posts: Sequence[Post], worked: Sequence[Pair]) -> list[Agreement]:
    """One for each employer that has posts at the station of a pilot community; a few were renewed in mid-month, a few
    have tiers, a few were signed late.

    Args:
        worked: pairs with shifts, so that there is one of each kind whose terms matter.
    """
    pairs: dict[Pair, tuple[Employer, Community]] = {}
    for post in posts:
        community = post.community
        if community is not None and community.pilot:
            pairs.setdefault((post.employer.ref, community.ref), (post.employer, community))
    of_pilots = [pair for pair in worked if pair in pairs]
    surely_late, surely_tiered = of_pilots[:1], of_pilots[1:2] or of_pilots
    found: list[Agreement] = []
    for index, (pair, (employer, community)) in enumerate(pairs.items()):
        base: Base = "output" if employer.reports_output else "wages"
        since = dice.pick((month, month.replace(month=1, day=1), month - timedelta(days=dice.between(10, 200))))
        until = dice.pick((None, date(month.year + 1, 12, 31)))
        terms = [(since, until)]
        if index == 0 or dice.chance(RENEWED_PERCENT):
            renewed = month + timedelta(days=dice.between(9, 19))
            terms = [(since, renewed - timedelta(days=1)), (renewed, until)]
        late = pair in surely_late or dice.chance(LATE_PERCENT)
        tiered = pair in surely_tiered or dice.chance(TIERED_PERCENT)
        for valid_from, valid_until in terms:
            rate, *tiers = _rates(dice) if tiered else [(0, dice.between(RATE_BP_MIN // 25, RATE_BP_MAX // 25) * 25)]
            ref = f"agreement:{len(found) + 1}"
            body = _body(employer, community, base, rate[1], tiers, valid_from, valid_until)
            found.append(
                Agreement(ref, pair, community, base, rate[1], tuple(tiers), valid_from, valid_until, late, body)
            )
    return found


def _rates(dice: Dice) -> list[tuple[int, int]]:
    """Three rates, each above the one before, with where they begin; a woman's month alone passes the first limit."""
    limits = (0, dice.between(800, 1_500) * 100, dice.between(4_000, 9_000) * 100)
    first = dice.between(RATE_BP_MIN // 25, 28)
    return [(limit, (first + 8 * number) * 25) for number, limit in enumerate(limits)]


def _body(
    employer: Employer,
    community: Community,
    base: Base,
    rate_bp: int,
    tiers: Sequence[tuple[int, int]],
    valid_from: date,
    valid_until: date | None,
) -> Body:
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
    if tiers:
        body["tiers"] = [{"from_fen": from_fen, "rate_bp": rate} for from_fen, rate in tiers]
    if valid_until is not None:
        body["valid_until"] = valid_until.isoformat()
    return body


class Rebates:
    """What the agreements make of shifts; for what the driver must wait for and what a fund can pay."""

    def __init__(self, signed: Sequence[Agreement]) -> None:
        self._of_pair: defaultdict[Pair, list[Agreement]] = defaultdict(list)
        for agreement in signed:
            self._of_pair[agreement.pair].append(agreement)

    def base_fen(self, shift: Shift) -> int:
        """What the rate is taken of, in fen; 0 if nothing is owed."""
        agreement = self.agreement_of(shift)
        if agreement is None:
            return 0
        wage = shift.wage_fen
        output = wage if shift.output_fen is None else shift.output_fen
        return wage if agreement.base == "wages" else output

    def agreement_of(self, shift: Shift) -> Agreement | None:
        """The version that covers a shift."""
        for agreement in self._of_pair.get(shift.pair, ()) if shift.pair is not None else ():
            if agreement.valid_from <= shift.day and (
                agreement.valid_until is None or shift.day <= agreement.valid_until
            ):
                return agreement
        return None

    def by_pair(self, stands: Sequence[Shift]) -> dict[Pair, int]:
        """Rebates of shifts as they stand, by pair, in fen × 10 000; pairs without any are left out."""
        bases: defaultdict[str, int] = defaultdict(int)
        agreements: dict[str, Agreement] = {}
        for shift in stands:
            agreement, base_fen = self.agreement_of(shift), self.base_fen(shift)
            if agreement is not None and base_fen:
                agreements[agreement.ref] = agreement
                bases[agreement.ref] += base_fen
        sums: defaultdict[Pair, int] = defaultdict(int)
        for ref, agreement in agreements.items():
            sums[agreement.pair] += agreement.rebate_e4(bases[ref])
        return dict(sums)


def settlement(pair: Pair, month: date) -> Body:
    return {"employer_id": f"@{pair[0]}", "community_id": f"@{pair[1]}", "month": month_of(month)}


def funds(sums: dict[Pair, int]) -> dict[str, int]:
    """What each community's fund holds after the settlements, in fen, by ref."""
    found: defaultdict[str, int] = defaultdict(int)
    for (_, community), sum_e4 in sums.items():
        found[community] += settle_e4(sum_e4)[0]
    return dict(found)


def reversed_pairs(dice: Dice, pairs: Sequence[Pair]) -> list[Pair]:
    """Whose settlement is reversed: the last one, and a few others."""
    return [pair for pair in pairs[:-1] if dice.chance(REVERSED_PERCENT)] + list(pairs[-1:])


def declined(dice: Dice, refs: Sequence[str]) -> set[str]:
    """Requests that the second person declines: the last one unless it is the only one, and a few others."""
    return {ref for ref in refs[1:-1] if dice.chance(DECLINED_PERCENT)} | set(refs[1:][-1:])


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
