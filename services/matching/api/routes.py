"""All reading routes of matching, in the order in which the documentation lists them."""

from __future__ import annotations

from fastapi import APIRouter

from services.matching.api import changes, explain, rankings
from services.matching.api.reader import Reader
from services.matching.ports import RankingLog


def router(reader: Reader, log: RankingLog) -> APIRouter:
    """The routes that only read."""
    routes = APIRouter()
    routes.include_router(rankings.router(reader))
    routes.include_router(changes.router(reader, log))
    routes.include_router(explain.router(reader))
    return routes
