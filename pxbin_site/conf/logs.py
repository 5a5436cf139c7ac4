"""How the gateway writes its own log: one line for each record, as JSON or as text, to standard error."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and where there are any the request's id and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as a JSON object."""
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
    """Log as much as an argument asks for; without one, as much as the settings say."""
    if level:
        logging.getLogger().setLevel(level.upper())


def logging_config(*, log_format: str, log_level: str) -> dict[str, Any]:
    """The `LOGGING` setting. Chatty libraries are kept at warnings, whatever our own level is.

    Two are kept at errors: Django would write a line for each 404 and 401, which anyone can send; and the pool one for each
    try to connect, where our own log says once that the database is away.
    """
    quiet = ("daphne", "asyncio", "celery", "httpx", "httpcore", "aiohttp", "botocore", "twisted")
    quieter = ("django.request", "psycopg.pool")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter},
            "text": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"handlers": ["stderr"], "level": log_level.upper()},
        "loggers": {name: {"level": "WARNING"} for name in quiet} | {name: {"level": "ERROR"} for name in quieter},
    }
