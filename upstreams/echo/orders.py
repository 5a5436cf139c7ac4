"""Orders: directives in a prompt that tell the echo upstream how to behave.

One form only: `[echo name=value name="quoted value"]`, any number of them anywhere in the prompt. A quoted
value is a JSON string. Unknown names and bad values are refused, so that a misspelt order is noticed.
"""

import json
import re
from collections.abc import Callable

import msgspec

STOPS = ("end", "length", "refusal", "pause", "context")
USAGES = ("full", "none")

_ORDER = re.compile(r'\[echo((?:\s+[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s\]"]+))*)\s*\]')
_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s\]"]+)')
_BEGUN = re.compile(r"\[echo(?=[\s\]])")


class Refused(Exception):  # noqa: N818  (it is an answer, not a fault of the program)
    """The echo upstream answers with an HTTP error: `status`, a message for the client, `retry_after` in seconds."""

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What the directives of one prompt ask for. Counts are numbers of stream pieces, from 0."""

    status: int | None = None
    """Answer with this HTTP error status."""
    message: str | None = None
    """The error's message."""
    retry_after: float | None = None
    """Seconds, sent as `retry-after` with the error."""
    say: str | None = None
    """The answer's text, instead of the prompt's."""
    thinking: str | None = None
    """The thinking that precedes the answer, also when the request did not ask for any."""
    stop: str | None = None
    """Why the answer ends: one of STOPS."""
    usage: str = "full"
    """`none` leaves the token counts out."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    chunks: int | None = None
    """Send the text as exactly this many pieces, repeating it when it has fewer words."""
    pace_ms: float = 0.0
    """Milliseconds between two pieces."""
    fail_after: int | None = None
    """Send an error event instead of the rest of the stream."""
    cut_after: int | None = None
    """End the stream there, as if it were complete."""
    reset_after: int | None = None
    """Break the connection there."""
    hang: float = 0.0
    """Seconds to wait before the answer's head; with `hang_after`, in the middle of the stream."""
    hang_after: int | None = None
    refuse: bool = False
    """Behave like a host that accepts no connections."""


def read(prompt: str) -> tuple[str, Orders]:
    """Split a prompt into the text without its directives and the orders they give.

    Raises Refused (400) for a directive that cannot be read.
    """
    found: dict[str, object] = {}
    for order in _ORDER.finditer(prompt):
        for name, value in _PAIR.findall(order[1]):
            found[name] = _value(name, value)
    rest = _ORDER.sub("", prompt)
    if stray := _BEGUN.search(rest):
        raise Refused(400, f"echo: cannot read the directive {rest[stray.start() : stray.start() + 60]!r}; write [echo name=value]")
    return (rest.strip() if found else prompt), Orders(**found)  # type: ignore[arg-type]


def _value(name: str, raw: str) -> object:
    reader = _READERS.get(name)
    if reader is None:
        raise Refused(400, f"echo: unknown directive {name!r}; known: {', '.join(sorted(_READERS))}")
    try:
        return reader(json.loads(raw) if raw.startswith('"') else raw)
    except ValueError as error:
        raise Refused(400, f"echo: bad value {raw} for the directive {name!r}: {error}") from error


def _count(raw: str) -> int:
    number = int(raw)
    if not 0 <= number <= 1_000_000:
        raise ValueError("expected a whole number from 0 to 1000000")
    return number


def _duration(raw: str) -> float:
    number = float(raw)
    if not 0 <= number <= 86_400_000:
        raise ValueError("expected a number that is not negative")
    return number


def _error_status(raw: str) -> int:
    number = int(raw)
    if not 400 <= number <= 599:
        raise ValueError("expected an error status from 400 to 599")
    return number


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read_word(raw: str) -> str:
        if raw not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return raw

    return read_word


def _yes_or_no(raw: str) -> bool:
    return _one_of("yes", "no")(raw) == "yes"


_READERS: dict[str, Callable[[str], object]] = {
    "status": _error_status,
    "message": str,
    "retry_after": _duration,
    "say": str,
    "thinking": str,
    "stop": _one_of(*STOPS),
    "usage": _one_of(*USAGES),
    "input_tokens": _count,
    "output_tokens": _count,
    "cache_read": _count,
    "cache_write": _count,
    "chunks": _count,
    "pace_ms": _duration,
    "fail_after": _count,
    "cut_after": _count,
    "reset_after": _count,
    "hang": _duration,
    "hang_after": _count,
    "refuse": _yes_or_no,
}
