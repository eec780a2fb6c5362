"""What revenue does by itself: accrue the shifts that come, release those that waited, settle, and check the ledger."""

from services.revenue.handlers.checking import Reconciler, Verifier
from services.revenue.handlers.ledger import COLLECT_AFTER, CONSUMED, Ledger, shift_of
from services.revenue.handlers.looking import Releaser, Settler, Teller

__all__ = [
    "COLLECT_AFTER",
    "CONSUMED",
    "Ledger",
    "Reconciler",
    "Releaser",
    "Settler",
    "Teller",
    "Verifier",
    "shift_of",
]
