"""The gateway's own log: one line for each record, as JSON or as text, to standard error."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `time`, `level`, `logger`, `message`, and, if present, `request_id` and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", ""):
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_level(level: str | None) -> None:
    """Set the level of the root logger to that of a command's argument; without one, the level of the settings stays."""
    if level:
        logging.getLogger().setLevel(level.upper())


def logging_config(*, log_format: str, log_level: str) -> dict[str, Any]:
    """The `LOGGING` setting. Libraries that log much are limited to warnings, whatever the gateway's level is.

    Two are limited to errors: Django logs a warning for each 404 and 401, which anyone can cause, and the connection pool one
    for each failed connection, where the gateway itself logs once that the database is unreachable.
    """
    warnings_only = ("daphne", "asyncio", "celery", "httpx", "httpcore", "aiohttp", "botocore", "twisted")
    errors_only = ("django.request", "psycopg.pool")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter},
            "text": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"handlers": ["stderr"], "level": log_level.upper()},
        "loggers": {name: {"level": "WARNING"} for name in warnings_only} | {name: {"level": "ERROR"} for name in errors_only},
    }
