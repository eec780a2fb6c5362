"""Training in MongoDB. Collections: `seekers` (who there is), `courses`, `enrolments`, `certificates`."""

from services.training.store.mongo import MongoReads, MongoTraining, ensure_indexes

__all__ = ["MongoReads", "MongoTraining", "ensure_indexes"]
