"""The fast half of matching: columnar, incremental, in memory, one shard a city; equal to `domain`, always."""

from services.matching.engine.engine import Engine

__all__ = ["Engine"]
