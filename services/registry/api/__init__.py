"""The HTTP surface of the registry."""

from services.registry.api.desk import Desk
from services.registry.api.routes import routers

__all__ = ["Desk", "routers"]
