"""The rules of matching: pure, slow, obvious, and the definition of every ranking (DESIGN.md §5).

`state` is what the events say, `profiles` is what the rules look at, `policy` is the weights, `rules` decides one pair,
`ranking` orders them. `engine` computes the same numbers fast; where the two differ, this package is right.
"""

from services.matching.domain.policy import PARTS, Policy, Weights, policy_on
from services.matching.domain.profiles import Candidate, Opening, View, candidate_of, opening_of, view_of
from services.matching.domain.ranking import BEST_POSTS, TOP_SEEKERS, RankedPost, RankedSeeker, best_posts, rank_post
from services.matching.domain.rules import Failure, Parts, Reason, Verdict, explain, score
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

__all__ = [
    "BEST_POSTS",
    "PARTS",
    "TOP_SEEKERS",
    "Candidate",
    "Certificate",
    "Employer",
    "EntityKind",
    "Fact",
    "Failure",
    "Opening",
    "Parts",
    "Placement",
    "Policy",
    "Post",
    "Programme",
    "RankedPost",
    "RankedSeeker",
    "Reason",
    "Seeker",
    "Shift",
    "State",
    "Station",
    "Verdict",
    "View",
    "Weights",
    "best_posts",
    "candidate_of",
    "explain",
    "opening_of",
    "policy_on",
    "rank_post",
    "score",
    "view_of",
]
