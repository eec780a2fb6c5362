"""All reading routes of matching, in the order in which the documentation lists them."""

from __future__ import annotations

from fastapi import APIRouter

from services.matching.api import explain, rankings
from services.matching.api.reader import Reader


def router(reader: Reader) -> APIRouter:
    """The routes that only read."""
    routes = APIRouter()
    routes.include_router(rankings.router(reader))
    routes.include_router(explain.router(reader))
    return routes
