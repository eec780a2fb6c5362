"""What a chaos run is asked for; light, since the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path


class EngineKind(StrEnum):
    """What chaos runs on: three Kafka brokers and three mongod, or the embedded engines."""

    CLUSTER = "cluster"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """See `mamapost chaos --help`.

    Attributes:
        engine: `None` = the cluster where it can be had, else the embedded engines.
        month: of the shifts.
        keep: folder of history, data and logs; `None` = one that goes when all is well.
    """

    minutes: float
    seed: int
    engine: EngineKind | None
    month: date
    json_file: Path | None
    keep: Path | None
