"""Logs: one structured line an occurrence, JSON for machines or columns for people, secrets masked.

A request id bound with `structlog.contextvars` at a door is on every line, frame and event that follows from it.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_NAMES = re.compile(r"(password|secret|token|ticket|authorization|cookie|api_key|ingest_key|stream_key)", re.I)
URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]+):[^@/\s]+@")

log: structlog.stdlib.BoundLogger = structlog.get_logger("laotie")


def mask(secret: str) -> str:
    """Enough of a secret to recognise it, too little to use it."""
    return f"{secret[:3]}…" if len(secret) > 8 else "…"


def _mask_secrets(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    for key, value in line.items():
        if key != "event" and SECRET_NAMES.search(key) and isinstance(value, str):
            line[key] = mask(value)
        elif isinstance(value, str) and "://" in value:
            line[key] = URL_PASSWORD.sub(r"\1:…@", value)
    return line


def set_up(*, level: str = "info", form: str = "auto") -> None:
    """Send everything, the libraries' lines too, through one pipe to standard error.

    `form` is `json`, `text`, or `auto` (text on a terminal).
    """
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    end: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                end,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "httpx", "httpcore", "procrastinate", "alembic", "psycopg.pool", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
