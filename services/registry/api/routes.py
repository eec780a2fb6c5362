"""All routers of the registry."""

from __future__ import annotations

from fastapi import APIRouter

from services.registry.api import places, posts, seekers, shuttles, work
from services.registry.api.desk import Desk


def routers(desk: Desk) -> list[APIRouter]:
    """Everything that the app serves, in the order of its documentation."""
    return [
        *places.routers(desk),
        *shuttles.routers(desk),
        *seekers.routers(desk),
        *posts.routers(desk),
        *work.routers(desk),
    ]
