"""What a gateway has inside, for tests that ask by SIGUSR2. Python imports this at its start where it finds it on its path."""

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path


def _opened(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # the one by which they are listed
        return "pipe"


def _report(*_: object) -> None:
    gc.collect()  # what only waits for it is no leak
    tasks = [object_ for object_ in gc.get_objects() if isinstance(object_, asyncio.Task) and not object_.done()]
    limits, call_module = sys.modules.get("accounts.limits.limiter"), sys.modules.get("proxy.exchange.upstream_call")
    tries = [object_ for object_ in gc.get_objects() if isinstance(object_, call_module.UpstreamCall)] if call_module else []
    resources = {
        "tasks": sorted(object_.get_coro().__qualname__ for object_ in tasks),  # type: ignore[union-attr]
        "running": limits.current().counts.running if limits else {},
        "attempts": len(tries),
        "files": sorted(map(_opened, Path("/proc/self/fd").iterdir())),
    }
    unfinished = Path(os.environ["INSIDE_REPORT"] + ".part")
    unfinished.write_text(json.dumps(resources))
    unfinished.rename(os.environ["INSIDE_REPORT"])


if "INSIDE_REPORT" in os.environ:
    signal.signal(signal.SIGUSR2, _report)
