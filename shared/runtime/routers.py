"""Routers of commands and of reads, alike in all services: tag, token, and the header that commands need."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from shared.kernel.ids import ID_PATTERN
from shared.runtime.commands import IdempotencyKey
from shared.runtime.http import needs

EntityPath = Annotated[str, Path(pattern=ID_PATTERN, max_length=40)]
"""An entity's id as part of a path."""


async def _declares_key(_key: IdempotencyKey = None) -> None:
    """The command runner reads the header; here it only becomes part of OpenAPI."""


def writing(tag: str) -> APIRouter:
    """A router of commands."""
    return APIRouter(tags=[tag], dependencies=[needs("write"), Depends(_declares_key)])


def reading(tag: str) -> APIRouter:
    """A router of lists and lookups."""
    return APIRouter(tags=[tag], dependencies=[needs("read")])
