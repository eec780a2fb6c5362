"""Training in MongoDB. Collections: `seekers` (who there is), `courses`, `enrolments`, `certificates`."""

from services.training.store.mongo import STEPS, MongoReads, MongoTraining

__all__ = ["STEPS", "MongoReads", "MongoTraining"]
