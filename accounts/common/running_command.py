"""The name of the command that runs, for the change log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_name: ContextVar[str] = ContextVar("command", default="")


@contextmanager
def running(name: str) -> Iterator[None]:
    """Changes in the block are those of `manage.py NAME`."""
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


def current() -> str:
    """The name of the command; empty in a server."""
    return _name.get()
