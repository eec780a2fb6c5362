"""Structured logs: one JSON object a line. Only events' ids and pseudonyms may stand in them, never personal data."""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog

from shared.runtime import tracing


def configure(service: str, level: str) -> None:
    """Set up logging of a process; libraries' loggers end in the same stream and form."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        tracing.annotate,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # These tell of every request, or of every step of a compilation; a warning from them is still shown.
    for noisy in ("uvicorn.access", "pymongo", "faststream", "numba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It repeats a refused connection ten times a second; the bus says once that the broker is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(service=service)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events are short names and whose facts are keyword arguments."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))
