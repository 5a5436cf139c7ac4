"""Directives in a prompt that control the echo upstream.

Their form is `[echo name=value name="quoted value"]`; a prompt may contain any number of them. A quoted value is a
JSON string. Unknown names and invalid values are answered with status 400.
"""

import json
import re
from collections.abc import Callable

import msgspec

STOPS = ("end", "length", "refusal", "pause", "context")
USAGES = ("full", "none")

_DIRECTIVE = re.compile(r'\[echo((?:\s+[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s\]"]+))*)\s*\]')
_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s\]"]+)')
_BEGUN = re.compile(r"\[echo(?=[\s\]])")


class EchoError(Exception):
    """The echo upstream answers with an HTTP error: `status`, a message for the client, `retry_after` in seconds."""

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Directives(msgspec.Struct, frozen=True, kw_only=True):
    """The directives of one prompt. Counts are numbers of stream pieces, from 0."""

    status: int | None = None
    """Answer with this HTTP error status."""
    message: str | None = None
    """The error's message."""
    retry_after: float | None = None
    """Seconds, sent as `retry-after` with the error."""
    say: str | None = None
    """The text of the response, instead of the prompt."""
    thinking: str | None = None
    """The thinking before the text, also if the request does not enable thinking."""
    stop: str | None = None
    """The stop reason: one of STOPS."""
    usage: str = "full"
    """`none` omits the token counts."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    chunks: int | None = None
    """Send the text as exactly this many pieces; it is repeated if it has fewer words."""
    pace_ms: float = 0.0
    """Milliseconds between two pieces."""
    fail_after: int | None = None
    """Send an error event instead of the rest of the stream."""
    cut_after: int | None = None
    """End the stream there, as if it were complete."""
    reset_after: int | None = None
    """Break the connection there."""
    hang: float = 0.0
    """Seconds of delay before the response head; with `hang_after`, in the middle of the stream."""
    hang_after: int | None = None
    refuse: bool = False
    """Raise the error of a host that accepts no connections."""


def read(prompt: str) -> tuple[str, Directives]:
    """Split a prompt into the text without its directives and the values of the directives.

    Raises EchoError (400) for an invalid directive.
    """
    values: dict[str, object] = {}
    for directive in _DIRECTIVE.finditer(prompt):
        for name, value in _PAIR.findall(directive[1]):
            values[name] = _value(name, value)
    rest = _DIRECTIVE.sub("", prompt)
    if stray := _BEGUN.search(rest):
        raise EchoError(400, f"echo: cannot read the directive {rest[stray.start() : stray.start() + 60]!r}; write [echo name=value]")
    return (rest.strip() if values else prompt), Directives(**values)  # type: ignore[arg-type]


def _value(name: str, raw: str) -> object:
    reader = _READERS.get(name)
    if reader is None:
        raise EchoError(400, f"echo: unknown directive {name!r}; known: {', '.join(sorted(_READERS))}")
    try:
        return reader(json.loads(raw) if raw.startswith('"') else raw)
    except ValueError as error:
        raise EchoError(400, f"echo: bad value {raw} for the directive {name!r}: {error}") from error


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
