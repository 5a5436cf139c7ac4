"""The management API, called in this process: for tests of what it answers, not of the server under it."""

import json
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.test import Client

from accounts import keys


class Answered(NamedTuple):
    """An answer: its status and its JSON value."""

    status: int
    body: Any

    @property
    def data(self) -> Any:
        """What the envelope of success holds."""
        return self.body["data"]

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, type and message of an error."""
        return self.status, self.body["error"]["type"], self.body["error"]["message"]


class Management:
    """A script with a key of its own."""

    def __init__(self, *, permissions: tuple[str, ...] = ("read", "write")) -> None:
        self.key, _ = keys.issue("management", name="tests", permissions=list(permissions))

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> HttpResponse:
        """The answer as it is; `headers` replace the key."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()} or {"x-api-key": self.key}
        content = {} if body is None else {"data": body, "content_type": "application/json"}
        return Client().generic(method, f"/api/v1{path}", headers=sent, **content)

    def ask(self, method: str, path: str, value: Any = None, **headers: str) -> Answered:
        """Send a JSON value, if there is one, and read the answer."""
        answer = self.raw(method, path, None if value is None else json.dumps(value).encode(), **headers)
        return Answered(answer.status_code, json.loads(answer.content))

    def get(self, path: str) -> Any:
        """The data at a path."""
        return self.ask("GET", path).data

    def made(self, path: str, **fields: Any) -> Any:
        """Create something; returns it."""
        answer = self.ask("POST", path, fields)
        assert answer.status == 201, answer
        return answer.data
