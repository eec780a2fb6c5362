"""Matching's MongoDB. What was published of rankings, who answers for which partition, policies, offers."""

from services.matching.store.migrations import STEPS
from services.matching.store.offers import MongoOffers
from services.matching.store.owners import MongoOwners
from services.matching.store.policies import MongoPolicies, MongoPolicyReads
from services.matching.store.rankings import MongoRankings

__all__ = ["STEPS", "MongoOffers", "MongoOwners", "MongoPolicies", "MongoPolicyReads", "MongoRankings"]
