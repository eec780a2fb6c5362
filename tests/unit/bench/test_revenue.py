"""What the bench of revenue says of its load."""

from __future__ import annotations

from collections import Counter

from bench.revenue.measure import CITIES
from shared.contracts.topics import PARTITIONS, partition_of


def test_each_partition_has_as_many_cities() -> None:
    """So that both instances have as much to do: with all cities in one of them, the other would only poll."""
    assert Counter(partition_of(city) for city in CITIES) == dict.fromkeys(range(PARTITIONS), 2)
