"""Drives a scenario through the public HTTP API of running services."""

from mamapost.scenario.drive.journal import Accepted, Journal, Mismatch, Refused, StageReport
from mamapost.scenario.drive.run import CONCURRENCY, OnProgress, drive
from mamapost.scenario.drive.sending import DEADLINE_S, Undelivered

__all__ = [
    "CONCURRENCY",
    "DEADLINE_S",
    "Accepted",
    "Journal",
    "Mismatch",
    "OnProgress",
    "Refused",
    "StageReport",
    "Undelivered",
    "drive",
]
