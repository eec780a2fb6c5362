"""Seekers: the pseudonymous profile, the person behind it, and who is eligible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from services.registry.domain.places import Facility
from shared.kernel.clock import end_of_month
from shared.kernel.errors import Fault
from shared.kernel.geo import Place

PostKind = Literal["elastic", "team", "mobile", "new-form"]
WithdrawalReason = Literal["own-wish", "found-work", "moved-away", "erased"]

CHILD_AGE = 12
"""Eligibility ends on the youngest child's 12th birthday (FACTS.md, Who and where, N)."""

CHILDREN_MAX = 10
"""More than any family of the programme has; a longer list is a mistake in the file."""

REGISTERED_DAYS_BACK = 5 * 366
"""How old a record of the paper ledger may be; city programmes began within the last five years (FACTS.md)."""


@dataclass(frozen=True, slots=True)
class WorkingAge:
    """Statutory working age of women from a day on: `least <= age < below`, in full years."""

    since: date
    least: int
    below: int


WORKING_AGES = (WorkingAge(date(2025, 1, 1), least=16, below=55),)
"""Latest first. "Women of statutory working age" (FACTS.md, N). 16: Labour Law, article 15. 55: the decision on the
gradual raising of the statutory retirement age (in force since 1 January 2025) moves women in blue-collar posts from 50
to 55 and starts at 55 for the others; so nobody below 55 is beyond working age for every post. A record that is older
than the first entry is judged by that entry."""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Who is behind a pseudonym. Personal throughout: kept encrypted, never shown by `repr`.

    Attributes:
        home: exact; the profile has it rounded.
        children: birth dates, in the order given.
    """

    name: str
    phone: str
    birth_date: date
    address: str
    home: Place
    children: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Seeker:
    """The pseudonymous profile, as events carry it.

    Attributes:
        lock: rises with each write that other commands must notice although no event tells of it (a placement of hers),
            so that two concurrent placements cannot both be right about her hours.
        home: rounded to the published grid.
        free: week mask of her free half hours.
        eligible_until: end of the month of the youngest child's 12th birthday: coarse, as it is published.
    """

    id: str
    version: int
    lock: int
    city: str
    area: str
    home: Place
    commute_km: int
    free: int
    skills: tuple[str, ...]
    kinds: tuple[PostKind, ...]
    facilities: tuple[Facility, ...]
    pay_floor_fen: int
    eligible_until: date
    registered_at: datetime
    withdrawn: WithdrawalReason | None = None
    withdrawn_at: datetime | None = None


def birthday(born: date, age: int) -> date:
    """The day on which somebody reaches an age. Born on 29 February: 28 February in a common year, as the Civil Code
    (article 202) lets a period without a matching day end on the last day of the month."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:
        return date(born.year + age, 2, 28)


def working_age_on(day: date) -> WorkingAge:
    """The rule in force on a day."""
    return next((rule for rule in WORKING_AGES if rule.since <= day), WORKING_AGES[-1])


def working_age_faults(born: date, day: date) -> list[Fault]:
    """Statutory working age on the day of registration."""
    rule = working_age_on(day)
    if birthday(born, rule.least) <= day < birthday(born, rule.below):
        return []
    return [Fault("person.birth_date", f"an age of {rule.least} to {rule.below - 1} on the day of registration")]


def birth_faults(born: date, children: Sequence[date], today: date) -> list[Fault]:
    """Nobody is born in the future, nor a child before its mother."""
    faults = [Fault("person.birth_date", "a day in the past")] if born > today else []
    for index, child in enumerate(children):
        if not born < child <= today:
            faults.append(
                Fault(f"person.children.{index}.birth_date", "a day after her own birth and not in the future")
            )
    return faults


def youngest(children: Sequence[date]) -> int:
    """Index of the youngest child, who decides; the first of twins."""
    return max(range(len(children)), key=lambda index: (children[index], -index))


def child_faults(children: Sequence[date], day: date) -> list[Fault]:
    """The youngest child is under 12 on the day."""
    index = youngest(children)
    if day < birthday(children[index], CHILD_AGE):
        return []
    return [Fault(f"person.children.{index}.birth_date", f"a youngest child under {CHILD_AGE}")]


def eligible_before(children: Sequence[date]) -> date:
    """The youngest child's 12th birthday: the first day on which she is not eligible. Personal; never published."""
    return birthday(children[youngest(children)], CHILD_AGE)


def eligible_until(children: Sequence[date]) -> date:
    """The published form: the end of that month, so that no topic tells a child's birthday."""
    return end_of_month(eligible_before(children))


def surely_eligible(seeker: Seeker, day: date) -> bool:
    """Whether the published month alone says that she is eligible on a day, so that nobody need open her data."""
    return day < seeker.eligible_until.replace(day=1)


def registered_on_faults(day: date, today: date) -> list[Fault]:
    """A record of the paper ledger is neither from the future nor from before the programmes."""
    if today - timedelta(days=REGISTERED_DAYS_BACK) <= day <= today:
        return []
    return [Fault("registered_on", f"today or a day of the last {REGISTERED_DAYS_BACK} days")]
