"""What revenue does by itself: accrue the shifts that come, release those that waited, settle, and check the ledger."""

from services.revenue.handlers.checking import Reconciler, Verifier
from services.revenue.handlers.ledger import CONSUMED, Ledger, collect_seldom, shift_of
from services.revenue.handlers.looking import Releaser, Settler, Teller

__all__ = [
    "CONSUMED",
    "Ledger",
    "Reconciler",
    "Releaser",
    "Settler",
    "Teller",
    "Verifier",
    "collect_seldom",
    "shift_of",
]
