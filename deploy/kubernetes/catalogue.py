"""What each service consumes and produces, from its own code and the catalogue of topics."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Final

from deploy.local.fleet import SERVICES
from shared.contracts.fields import Event
from shared.contracts.topics import TOPICS

_CONSUMED_IN: Final = {"matching": "facts", "training": "handlers", "revenue": "handlers"}
"""The room of each consumer that lists its events; the registry consumes none."""


def consumed(service: str) -> list[str]:
    """Topics that a service reads."""
    room = _CONSUMED_IN.get(service)
    if room is None:
        return []
    events: Iterable[type[Event]] = importlib.import_module(f"services.{service}.{room}").CONSUMED
    return sorted(event.topic for event in events)


def produced(service: str) -> list[str]:
    """Topics that a service owns."""
    return sorted(topic.name for topic in TOPICS.values() if topic.owner == service)


def consumers() -> list[str]:
    """Services that consume."""
    return [service for service in SERVICES if consumed(service)]
