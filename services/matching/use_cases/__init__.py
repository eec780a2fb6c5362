"""What matching does: one function for each command, slice of events or question."""

from services.matching.use_cases.changes import Change, changes_since
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
from services.matching.use_cases.streaming import Stream, begin, end_streams, follow
from services.matching.use_cases.watching import Watcher, Watchers, count_end

__all__ = [
    "PUBLISHED_TOP",
    "PUBLISH_MAX",
    "Change",
    "Live",
    "Part",
    "Stream",
    "Watcher",
    "Watchers",
    "await_position",
    "await_version",
    "begin",
    "best_posts",
    "boot_clock",
    "changes_since",
    "count_end",
    "end_streams",
    "follow",
    "held_for_good",
    "learn",
    "publish_changes",
    "ranking",
    "read_published",
    "why",
]
