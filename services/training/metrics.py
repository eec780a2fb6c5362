"""Metrics of training. Labels are closed lists: command names, error codes, results."""

from __future__ import annotations

from prometheus_client import Counter

COMMANDS = Counter(
    "mamapost_training_commands_total",
    "Commands by outcome (accepted, repeated, or the error's code): courses, enrolments, certificates; many "
    "`course-full`: too few seats.",
    ["command", "outcome"],
)
RESULTS = Counter(
    "mamapost_training_results_total",
    "Assessments by result; the share that passed says whether the courses teach what the exams ask.",
    ["result"],
)
