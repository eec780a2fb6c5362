"""The registry in MongoDB: the only room that knows the driver and the form of documents."""

from services.registry.store.figures import MongoFigures
from services.registry.store.indexes import STEPS
from services.registry.store.read import MongoReader
from services.registry.store.write import MongoStore

__all__ = ["STEPS", "MongoFigures", "MongoReader", "MongoStore"]
