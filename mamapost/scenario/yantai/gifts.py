"""Money beside the rebates: a subsidy of social insurance, donations and grants (FACTS.md, Money, N)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.facts import CITY
from mamapost.scenario.yantai.work import Pair

GIFTS_MOST = 3
"""What one source gives in the month, in how many parts."""

SOURCES = (
    ("social-insurance-subsidy", "示例市人力资源和社会保障局", 20_000_00),
    ("donation", "示例慈善总会", 5_000_00),
    ("grant", "示例市妇女联合会", 8_000_00),
)
"""Kind, giver and limit in fen."""


@dataclass(frozen=True, slots=True)
class Gift:
    ref: str
    community: str
    body: Body


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who gives, and what it gives; together less than its limit."""

    ref: str
    body: Body
    gifts: tuple[Gift, ...]


def sources(dice: Dice, month: date, pairs: Sequence[Pair]) -> list[Source]:
    """One of each kind. A subsidy is an employer's at a community, everything else goes into a community's fund."""
    found: list[Source] = []
    number = 0
    for kind, giver, limit_fen in SOURCES:
        gifts: list[Gift] = []
        for employer, community in dice.sample(pairs, GIFTS_MOST):
            number += 1
            body: Body = {
                "community_id": f"@{community}",
                "amount_fen": dice.between(limit_fen // 20, limit_fen // 4),
                "granted_on": (month + timedelta(days=dice.between(4, 24))).isoformat(),
            }
            if kind == "social-insurance-subsidy":
                body["employer_id"] = f"@{employer}"
            gifts.append(Gift(f"gift:{number}", community, body))
        source: Body = {
            "city": CITY,
            "kind": kind,
            "giver": giver,
            "limit_fen": limit_fen,
            "valid_from": month.replace(month=1, day=1).isoformat(),
            "valid_until": date(month.year, 12, 31).isoformat(),
        }
        found.append(Source(f"source:{len(found) + 1}", source, tuple(gifts)))
    return found


def granted(given: Sequence[Source]) -> dict[str, int]:
    """What each community's fund received, in fen, by ref."""
    found: defaultdict[str, int] = defaultdict(int)
    for source in given:
        for gift in source.gifts:
            if "employer_id" not in gift.body:
                found[gift.community] += gift.body["amount_fen"]
    return dict(found)
