"""The table of hot paths: the async view of a method and path, without Django's URL resolver."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

View = Callable[..., Awaitable[Any]]
Methods = dict[str, View]


class FastRoutes:
    """Fixed paths are one dictionary look-up; patterns must match the whole path and are tried in order. A trailing slash is ignored.

    A view is ``async def view(request: HttpRequest, **captured)`` and returns ``JsonResponse``, ``StreamingResponse`` or a Django
    ``HttpResponse``. GET also answers HEAD.
    """

    def __init__(self, paths: Mapping[tuple[str, str], View], patterns: Iterable[tuple[str, re.Pattern[str], View]] = ()) -> None:
        self._paths: dict[str, Methods] = {}
        self._patterns: dict[re.Pattern[str], Methods] = {}
        for (method, path), view in paths.items():
            _add(self._paths.setdefault(path, {}), method, view)
        for method, pattern, view in patterns:
            _add(self._patterns.setdefault(pattern, {}), method, view)

    def find(self, path: str) -> tuple[Methods, dict[str, str]] | None:
        """The views of ``path`` by method, and the groups that its pattern captured; ``None`` if the path is not hot."""
        methods = self._paths.get(path)
        if methods is not None:
            return methods, {}
        if path.endswith("/") and path != "/":
            path = path.rstrip("/")
            methods = self._paths.get(path)
            if methods is not None:
                return methods, {}
        for pattern, methods in self._patterns.items():
            match = pattern.fullmatch(path)
            if match is not None:
                return methods, match.groupdict()
        return None


def _add(methods: Methods, method: str, view: View) -> None:
    methods[method] = view
    if method == "GET":
        methods.setdefault("HEAD", view)
