"""The fast half of matching: in memory, incremental, compiled, one shard a city; equal to `domain`, always."""

from services.matching.engine.city import Sizes
from services.matching.engine.engine import Engine
from services.matching.engine.staging import UnknownForm

__all__ = ["Engine", "Sizes", "UnknownForm"]
