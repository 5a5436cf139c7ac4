"""The result of a check of `manage.py doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is. Only `failed` makes the command's exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True):
    """One sentence about a subject, such as `database`, and what to do about it; empty where nothing is wrong."""

    subject: str
    level: Level
    message: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(subject: str, message: str) -> Finding:
    """Nothing is wrong."""
    return Finding(subject, Level.OK, message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    """The gateway works, but something is probably not as it should be."""
    return Finding(subject, Level.WARNING, message, remedy)


def failed(subject: str, message: str, remedy: str) -> Finding:
    """Something does not work."""
    return Finding(subject, Level.FAILED, message, remedy)


def one_line(error: BaseException) -> str:
    """The text of an exception on one line; its class, if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
