"""Where wrong passwords are counted: in Redis, which all processes share, or in the memory of the process."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError


class OwnCounters(LocMemCache):
    """In memory. The entries are bounded by ``MAX_ENTRIES``."""

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a counter. One that has just expired starts again."""
        try:
            return int(super().incr(key, delta, version=version))
        except ValueError:
            self.add(key, delta, version=version)
            return delta


class SharedCounters(RedisCache):
    """In Redis; in the memory of the process while Redis does not answer."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._own = OwnCounters("login", {name: value for name, value in params.items() if name != "OPTIONS"})

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value of a counter."""
        try:
            return super().get(key, default, version=version)
        except RedisError:
            return self._own.get(key, default, version=version)

    def add(self, key: Any, value: Any, timeout: Any = None, version: int | None = None) -> bool:
        """Begin a counter; ``timeout`` in seconds. Returns whether it did not exist."""
        try:
            return bool(super().add(key, value, timeout, version=version))
        except RedisError:
            return bool(self._own.add(key, value, timeout, version=version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a counter. One that has just expired starts again."""
        try:
            return int(super().incr(key, delta, version=version))
        except RedisError:
            return self._own.incr(key, delta, version=version)
        except ValueError:
            self.add(key, delta, self.default_timeout, version=version)
            return delta

    def touch(self, key: Any, timeout: Any = None, version: int | None = None) -> bool:
        """Set the time in seconds after which a counter expires."""
        try:
            return bool(super().touch(key, timeout, version=version))
        except RedisError:
            return bool(self._own.touch(key, timeout, version=version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove a counter."""
        self._own.delete(key, version=version)
        try:
            return bool(super().delete(key, version=version))
        except RedisError:
            return True
