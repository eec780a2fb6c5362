"""Instant hiring (即时快招): who is offered a seat, and what comes of her answer (docs/decisions/0016).

`offering` makes and ends offers, `answering` carries her answer to the registry and back, `attendance` gives a seat
back that nobody came for, `loop` does all of it again and again.
"""

from services.matching.hiring.attendance import Attendance
from services.matching.hiring.board import OwnedBoard
from services.matching.hiring.loop import Hirings, HiringTerms

__all__ = ["Attendance", "HiringTerms", "Hirings", "OwnedBoard"]
