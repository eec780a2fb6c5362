"""Training in MongoDB. Collections: `seekers` (who there is), `courses`, `enrolments`, `certificates`."""

from services.training.store.mongo import MongoReads, MongoTraining, ensure_indexes
from services.training.store.readiness import Readiness

__all__ = ["MongoReads", "MongoTraining", "Readiness", "ensure_indexes"]
