"""Failures in words: one short English sentence each, for an office that has to tell a woman why.

A sentence holds amounts, skills and kinds only; nothing in it says who she is.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.matching.domain.rules import DayFit, Failure

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

DAYS_TOLD = 2
NAMES_TOLD = 5
"""So that a sentence stays one; the whole list stands beside it as data."""

M_PER_KM = 1000


def describe(failure: Failure) -> str:
    """Why a pair does not match, as part of a sentence without a full stop."""
    by = failure.by or 0
    match failure.reason:
        case "withdrawn":
            return "she has withdrawn"
        case "post-closed":
            return "the post is closed"
        case "other-city":
            return "the post is in another city"
        case "employer-suspended":
            return "the employer is suspended"
        case "station-not-accepted":
            return "the production zone of the post's station is not accepted"
        case "no-seat-left":
            return f"all seats are taken; {counted(by, 'placement')} would have to end"
        case "not-eligible":
            return f"her eligibility ended {counted(by, 'day')} ago"
        case "kind-not-wanted":
            return f"she does not want posts of the kind {listed(failure.names)}"
        case "pay-below-floor":
            return f"pays {by:,} fen an hour less than she asks"
        case "skill-missing" if by == 1:
            return f"the skill {listed(failure.names)} is missing"
        case "skill-missing":
            return f"{by} skills are missing: {listed(failure.names)}"
        case "hours-do-not-fit":
            return f"{counted(by, 'minute')} a week of overlap missing{_short_days(failure.days)}"
        case "already-placed" if by:
            return f"a placement of hers takes {counted(by, 'minute')} a week of these hours"
        case "already-placed":
            return "she is already placed on this post"
        case "too-far":
            whose = "the city's" if failure.limit_of == "city" else "her"
            return f"{by:,} m beyond {whose} limit of {distance(failure.limit or 0)}"


def counted(number: int, thing: str) -> str:
    """`1 day`, `2 days`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    told = ", ".join(names[:NAMES_TOLD])
    return told if len(names) <= NAMES_TOLD else f"{told} and {len(names) - NAMES_TOLD} more"


def distance(metres: int) -> str:
    """`5 km`, or metres where it is no whole number of kilometres."""
    return f"{metres:,} m" if metres % M_PER_KM else f"{metres // M_PER_KM} km"


def _short_days(days: Sequence[DayFit]) -> str:
    """The days that lack most, worst first."""
    short = sorted(
        (day.shared_minutes - day.asked_minutes, day) for day in days if day.shared_minutes < day.asked_minutes
    )
    told = [f"{WEEKDAYS[fit.day - 1]} has {fit.shared_minutes} of {fit.asked_minutes} minutes" for _, fit in short]
    return "".join(f"; {one}" for one in told[:DAYS_TOLD])
