"""Spans with OpenTelemetry; imported only where `MAMAPOST_TRACE_TO` is set.

An attribute is a route, a status, a topic, an event's id, or the name of an error's type: never a path, a key, a value
or an error's message, any of which may be personal (promise 4). So exceptions are not recorded as such.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import orjson
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from shared.contracts.envelope import TRACE
from shared.runtime.tracing import Traced

SEND_AFTER_MS = 1000
"""Spans wait so long to be sent together; at most 2,048 of them, the SDK's default, then new ones are dropped."""

FORCED_FLUSH_MS = 5000
"""How long a stop waits for the last spans."""


class Spans:
    """Records spans of one service.

    Args:
        ratio: share of the traces begun here that is recorded; one that comes from elsewhere is recorded if it is
            there.
    """

    def __init__(self, service: str, exporter: SpanExporter, ratio: float) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(_Share(ratio)),
            resource=Resource.create({"service.name": f"mamapost-{service}"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=SEND_AFTER_MS))
        self._tracer = self._provider.get_tracer("mamapost")

    def close(self) -> None:
        """Send what was recorded."""
        self._provider.force_flush(FORCED_FLUSH_MS)
        self._provider.shutdown()

    def traceparent(self) -> str | None:
        """Of the span that is open here, if it is recorded."""
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    @contextmanager
    def request(self, method: str, parent: str | None) -> Iterator[Span]:
        """The span of an HTTP request; `answered` completes it."""
        with self._open(method, SpanKind.SERVER, parent) as span:
            yield span

    def answered(self, span: Span, method: str, route: str, status: int) -> None:
        """What became of a request.

        Args:
            route: the route's template; a path would hold ids.
        """
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= 500:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def batch(self, events: Sequence[Traced]) -> Iterator[None]:
        """The span of a batch, a trace of its own, with links to the traces that meet in it. It is not the one that is
        open: what events without a trace cause has none either."""
        links = [Link(context) for event in events if (context := _context_of(event.traceparent)) is not None]
        facts: dict[str, str | int] = {"messaging.system": "kafka", "messaging.batch.message_count": len(events)}
        span = self._tracer.start_span("process batch", Context(), SpanKind.CONSUMER, facts, links)
        try:
            yield
        except BaseException as error:
            _failed(span, error)
            raise
        finally:
            span.end()

    @contextmanager
    def process(self, event: Traced) -> Iterator[None]:
        """The effect of an event here, which continues its trace: what is published meanwhile belongs to it."""
        with self._open(f"process {event.topic}", SpanKind.CONSUMER, event.traceparent) as span:
            span.set_attributes(_facts_of(event, "process"))
            yield

    @contextmanager
    def each(self, operation: Literal["publish", "process"], events: Iterable[Traced]) -> Iterator[None]:
        """One span for each of some events that are worked on together; none of them is the one that is open."""
        kind = SpanKind.PRODUCER if operation == "publish" else SpanKind.CONSUMER
        opened = [
            self._tracer.start_span(
                f"{operation} {event.topic}", _parent(event.traceparent), kind, _facts_of(event, operation)
            )
            for event in events
        ]
        try:
            yield
        except BaseException as error:
            for span in opened:
                _failed(span, error)
            raise
        finally:
            ended_at = time.time_ns()
            for span in opened:
                span.end(ended_at)

    @contextmanager
    def _open(self, name: str, kind: SpanKind, parent: str | None) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, _parent(parent), kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                _failed(span, error)
                raise


class _Share(TraceIdRatioBased):
    """Records a share of the traces, and every batch of recorded ones, which is known by its links."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if links:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return super().should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)


def _facts_of(event: Traced, operation: str) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.destination.name": event.topic,
        "messaging.message.id": event.event_id,
    }


def _failed(span: Span, error: BaseException) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", type(error).__name__)


def _context_of(traceparent: str) -> SpanContext | None:
    """A trace context as W3C writes it; `None` for what is none."""
    if not TRACE.fullmatch(traceparent) or traceparent.startswith("ff"):
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return context if context.is_valid else None


def _parent(traceparent: str | None) -> Context:
    """Where a span belongs: below another one, or at the root of a new trace."""
    context = _context_of(traceparent) if traceparent else None
    return trace.set_span_in_context(NonRecordingSpan(context), Context()) if context is not None else Context()


def exporter_to(place: str) -> SpanExporter:
    """What sends spans to a place of `Settings.trace_to`."""
    url = urlsplit(place)
    if url.scheme == "file":
        return SpanFile(Path(url.path))
    return OTLPSpanExporter(endpoint=f"{place.rstrip('/')}/v1/traces")


class SpanFile(SpanExporter):
    """Spans as JSON, one a line: for a machine without a collector, and for tests."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._file.open("ab") as lines:
            lines.write(b"".join(orjson.dumps(_shown(span)) + b"\n" for span in spans))
        return SpanExportResult.SUCCESS


def _shown(span: ReadableSpan) -> dict[str, object]:
    return {
        "service": span.resource.attributes["service.name"],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "started_at_ns": span.start_time,
        "ended_at_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
        "status": span.status.status_code.name.lower(),
    }
