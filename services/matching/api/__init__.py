"""The HTTP edge of matching: rankings, best posts, why, what would help, policies, offers."""

from services.matching.api.desk import Desk
from services.matching.api.forwarding import Forwarding
from services.matching.api.offers import HiringDesk
from services.matching.api.offers import router as hiring_router
from services.matching.api.policies import router as policy_router
from services.matching.api.reader import Reader
from services.matching.api.routes import router

__all__ = ["Desk", "Forwarding", "HiringDesk", "Reader", "hiring_router", "policy_router", "router"]
