"""Metrics of the registry. Labels are closed lists: command names, error codes, outcomes."""

from __future__ import annotations

from prometheus_client import Counter

COMMANDS = Counter(
    "mamapost_registry_commands_total",
    "Commands by outcome (accepted, or the error's code): which rule turns people away; or `repeated`.",
    ["command", "outcome"],
)
BULK_ROWS = Counter(
    "mamapost_registry_bulk_rows_total",
    "Rows of bulk uploads, accepted or rejected; many rejections: a broken export. Repetitions do not count.",
    ["command", "outcome"],
)
PERSONS_ERASED = Counter(
    "mamapost_registry_persons_erased_total",
    "Persons whose data became unreadable; compared with the requests on file.",
)
PERSONS_READ = Counter(
    "mamapost_registry_persons_read_total",
    "Reads of personal data; a rise nobody can explain is a leak.",
)
