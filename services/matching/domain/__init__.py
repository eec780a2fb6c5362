"""The rules of matching: pure, slow, obvious, and the definition of every ranking (DESIGN.md §5).

`state` is what the events say, `profiles` is what the rules look at, `policy` is the weights, `rules` decides one pair,
`ranking` orders them. `engine` computes the same numbers fast; where the two differ, this package is right.
"""

from services.matching.domain.differences import Difference, Placed, difference
from services.matching.domain.helps import Change, Help, Helps, PostHelps, SeekerHelps
from services.matching.domain.policy import PARTS, Limits, Policy, Schedule, Weights, policy_id_of, policy_on
from services.matching.domain.profiles import (
    RELIABILITY_DAYS,
    Candidate,
    Opening,
    View,
    candidate_of,
    counts_on,
    opening_of,
    policies_of,
    view_of,
    waited_weeks_of,
)
from services.matching.domain.ranking import BEST_POSTS, TOP_SEEKERS, RankedPost, RankedSeeker, best_posts, rank_post
from services.matching.domain.rules import DayFit, Failure, Parts, Reason, Verdict, explain, score
from services.matching.domain.state import (
    Certificate,
    Employer,
    EntityKind,
    Fact,
    Placement,
    Post,
    Programme,
    Seeker,
    Shift,
    State,
    Station,
)
from services.matching.domain.words import describe

__all__ = [
    "BEST_POSTS",
    "PARTS",
    "RELIABILITY_DAYS",
    "TOP_SEEKERS",
    "Candidate",
    "Certificate",
    "Change",
    "DayFit",
    "Difference",
    "Employer",
    "EntityKind",
    "Fact",
    "Failure",
    "Help",
    "Helps",
    "Limits",
    "Opening",
    "Parts",
    "Placed",
    "Placement",
    "Policy",
    "Post",
    "PostHelps",
    "Programme",
    "RankedPost",
    "RankedSeeker",
    "Reason",
    "Schedule",
    "Seeker",
    "SeekerHelps",
    "Shift",
    "State",
    "Station",
    "Verdict",
    "View",
    "Weights",
    "best_posts",
    "candidate_of",
    "counts_on",
    "describe",
    "difference",
    "explain",
    "opening_of",
    "policies_of",
    "policy_id_of",
    "policy_on",
    "rank_post",
    "score",
    "view_of",
    "waited_weeks_of",
]
