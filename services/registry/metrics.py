"""Metrics of the registry. Labels are closed lists: command names, error codes, outcomes."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

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
WOMEN_REGISTERED = Gauge(
    "mamapost_registry_women_registered", "Women registered, all that ever were; the programme's reach.", ["city"]
)
PLACED_PERSONS = Gauge(
    "mamapost_registry_placed_persons",
    "Women who were placed at least once (persons, 人). Never added to participations.",
    ["city"],
)
PLACED_PARTICIPATIONS = Gauge(
    "mamapost_registry_placed_participations",
    "Placements made (participations, 人次): a woman counts each time. Never added to persons.",
    ["city"],
)
POSTS = Gauge("mamapost_registry_posts", "Posts by kind, and whether they are open.", ["city", "kind", "state"])
POST_HOURLY_PAY = Gauge(
    "mamapost_registry_post_hourly_pay_mean_fen",
    "Mean expected pay of an hour over open posts, by kind.",
    ["city", "kind"],
)
PAY_GAP = Gauge(
    "mamapost_registry_pay_gap_bp",
    "How far that is below an hour of ordinary work (MAMAPOST_REGISTRY_ORDINARY_HOURLY_FEN): 1,000 is a tenth below; "
    "without the setting there is none.",
    ["city", "kind"],
)
MINUTES_WORKED = Gauge(
    "mamapost_registry_minutes_worked",
    "Minutes of shifts in the `current` and the `previous` civil month.",
    ["city", "month"],
)

FIGURES = {
    "women_registered": WOMEN_REGISTERED,
    "placed_persons": PLACED_PERSONS,
    "placed_participations": PLACED_PARTICIPATIONS,
    "posts": POSTS,
    "post_hourly_pay": POST_HOURLY_PAY,
    "pay_gap": PAY_GAP,
    "minutes_worked": MINUTES_WORKED,
}
"""What the store counts, and the gauge that shows it; counts of fewer than 10 women are not shown."""
