"""Work on large bodies runs in worker threads: on the event loop, its time would delay all other requests.

A body of 1 MB takes up to 0.3 s to decode, adapt and encode, if it consists of small messages or tools. The threads share the
interpreter's lock with the event loop, which gets it back after the switch interval (``sys.setswitchinterval``) or at the end of
one call of C code, such as the decoding of one field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE_BYTES = 262_144
"""The largest body that is worked on without a thread. The conversations of agents are smaller, as a rule."""
THREADS = 2
"""How many large bodies are worked on at once; further ones wait."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="large-body")
_keyless_threads = ThreadPoolExecutor(1, thread_name_prefix="keyless-body")
_is_keyless = ContextVar("is_keyless", default=False)


def use_keyless_thread() -> None:
    """Let the large bodies of this request, which showed no valid key, wait for one another and not delay those of others."""
    _is_keyless.set(True)


async def in_thread_if_large(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of ``work(*args, **kwargs)``, whose time grows with a body of ``size`` bytes."""
    if size <= LARGE_BYTES:
        return work(*args, **kwargs)
    call = partial(copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_keyless_threads if _is_keyless.get() else _threads, call)
