"""Log lines: one JSON object each, with the cause and without secrets or texts."""

from __future__ import annotations

import logging

import structlog


def set_up(level: str) -> None:
    """`level` is a name of the logging module's."""
    logging.basicConfig(level=level.upper(), format="%(message)s")
    for noisy in ("httpx", "httpx2", "httpcore", "alembic", "dbos", "trafilatura", "pypdf"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
    )
