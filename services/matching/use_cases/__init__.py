"""What matching does: one function for each command, slice of events or question."""

from services.matching.use_cases.live import Live, Part, boot_clock, held_for_good
from services.matching.use_cases.publishing import (
    PUBLISH_MAX,
    PUBLISHED_TOP,
    publish_changes,
    read_published,
)
from services.matching.use_cases.rankings import (
    await_position,
    await_version,
    best_posts,
    learn,
    ranking,
    why,
)

__all__ = [
    "PUBLISHED_TOP",
    "PUBLISH_MAX",
    "Live",
    "Part",
    "await_position",
    "await_version",
    "best_posts",
    "boot_clock",
    "held_for_good",
    "learn",
    "publish_changes",
    "ranking",
    "read_published",
    "why",
]
