"""The rankings as instant hiring may use them: only those of cities that this instance answers for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from services.matching.domain import Candidate, EntityKind, Opening, RankedSeeker
from services.matching.ports import Board


@dataclass(frozen=True, slots=True)
class OwnedBoard:
    """Implements `ports.Board` on another one; posts of cities that others answer for are unknown here.

    A city may go to another instance whenever its reader waits for something, so what was known is asked for again.

    Args:
        owns: whether this instance answers for a city at this moment.
    """

    board: Board
    owns: Callable[[str], bool]

    def urgent(self) -> Iterable[str]:
        return [post_id for post_id in self.board.urgent() if self.city_of("post", post_id) is not None]

    def opening(self, post_id: str) -> Opening | None:
        return None if self.city_of("post", post_id) is None else self.board.opening(post_id)

    def candidate(self, seeker_id: str) -> Candidate | None:
        return self.board.candidate(seeker_id)

    def posts_of(self, seeker_id: str) -> Collection[str] | None:
        return self.board.posts_of(seeker_id)

    def ranking(self, post_id: str, limit: int) -> Sequence[RankedSeeker]:
        return () if self.city_of("post", post_id) is None else self.board.ranking(post_id, limit)

    def version_of(self, kind: EntityKind, id_: str) -> int:
        return self.board.version_of(kind, id_)

    def city_of(self, kind: EntityKind, id_: str) -> str | None:
        city = self.board.city_of(kind, id_)
        return city if city is not None and self.owns(city) else None
