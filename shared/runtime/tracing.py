"""Traces, off unless `MAMAPOST_TRACE_TO` says where spans go: without it nothing of OpenTelemetry is even imported.

One trace goes from an HTTP command through the event log and the topics to the last effect: the event keeps the
`traceparent` (W3C) of the command that made it, and who consumes it goes on with it (docs/decisions/0033).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.runtime.settings import Settings

if TYPE_CHECKING:
    from shared.runtime.spans import Spans

_spans: Spans | None = None


class Traced(NamedTuple):
    """An event of a trace."""

    topic: str
    event_id: str
    traceparent: str


def start(service: str, settings: Settings) -> None:
    """Record spans of this process from now on, if the settings say where they go."""
    global _spans
    if settings.trace_to is not None:
        from shared.runtime.spans import Spans, exporter_to

        _spans = Spans(service, exporter_to(settings.trace_to), settings.trace_ratio)


def stop() -> None:
    """Send what was recorded, and record no more."""
    global _spans
    recording, _spans = _spans, None
    if recording is not None:
        recording.close()


def spans() -> Spans | None:
    """What records spans; `None`: nothing does."""
    return _spans


def traceparent() -> str | None:
    """The `traceparent` of what goes on here, for who continues it; `None` where nothing is recorded."""
    return _spans.traceparent() if _spans is not None else None


def annotate(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log line with the `trace_id` of what it tells of; a processor of structlog."""
    if (parent := traceparent()) is not None:
        line["trace_id"] = parent.split("-")[1]
    return line
