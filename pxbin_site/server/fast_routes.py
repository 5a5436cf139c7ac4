"""The table of hot paths: which async view serves a method and path, found without Django's resolver."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

View = Callable[..., Awaitable[Any]]
Methods = dict[str, View]


class FastRoutes:
    """A path is one dictionary look-up; patterns (matched whole) are tried in their order. A trailing slash is ignored.

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
        """The views at ``path`` by method, and what its pattern captured; None when the path is not hot."""
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
