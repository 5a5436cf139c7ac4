"""Waiting for a condition. Tests never sleep for a fixed time before they assert, and never assert how long something took.

The deadline is there for a defect, not for the usual case: it is far longer than the slowest machine needs. A test that shows
that something does *not* happen waits for a later event, by which it would have happened.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until a test gives up."""
EVERY = 0.02
"""Seconds between two looks."""


def eventually(condition: Callable[[], T], *, seconds: float = PATIENCE, every: float = EVERY, message: str = "") -> T:
    """What ``condition`` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, _late(seconds, message, result)
        time.sleep(every)
    return result


async def eventually_async(condition: Callable[[], Any], *, seconds: float = PATIENCE, every: float = EVERY, message: str = "") -> Any:
    """The same in an event loop, for a condition that may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, _late(seconds, message, result)
        await asyncio.sleep(every)


def expect_soon(read: Callable[[], T], expected: T, *, seconds: float = PATIENCE, every: float = EVERY) -> None:
    """Read a value until it is the expected one."""
    deadline = time.monotonic() + seconds
    while (actual := read()) != expected:
        assert time.monotonic() < deadline, f"after {seconds} s it is still\n{actual!r}\nand not\n{expected!r}"
        time.sleep(every)


async def expect_soon_async(read: Callable[[], T], expected: T, *, seconds: float = PATIENCE, every: float = EVERY) -> None:
    """The same in an event loop."""
    deadline = time.monotonic() + seconds
    while (actual := read()) != expected:
        assert time.monotonic() < deadline, f"after {seconds} s it is still\n{actual!r}\nand not\n{expected!r}"
        await asyncio.sleep(every)


def _late(seconds: float, message: str, result: object) -> str:
    return f"{message or 'it did not happen'} within {seconds} s; last seen: {result!r}"
