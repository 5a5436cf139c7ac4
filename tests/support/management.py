"""Calls of the management API inside the test's process, without a server."""

import json
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.test import Client

from accounts import keys


class ApiResponse(NamedTuple):
    """Status and JSON body of a response."""

    status: int
    body: Any

    @property
    def data(self) -> Any:
        """The payload of a successful response."""
        return self.body["data"]

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, type and message of an error."""
        return self.status, self.body["error"]["type"], self.body["error"]["message"]


class ManagementClient:
    """A script with a management key of its own."""

    def __init__(self, *, permissions: tuple[str, ...] = ("read", "write")) -> None:
        self.key, _ = keys.issue("management", name="tests", permissions=list(permissions))

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> HttpResponse:
        """The response as Django makes it; `headers` replace the key."""
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()} or {"x-api-key": self.key}
        content = {} if body is None else {"data": body, "content_type": "application/json"}
        return Client().generic(method, f"/api/v1{path}", headers=sent_headers, **content)

    def send(self, method: str, path: str, value: Any = None, **headers: str) -> ApiResponse:
        """Send a JSON value, if there is one, and parse the response."""
        response = self.raw(method, path, None if value is None else json.dumps(value).encode(), **headers)
        return ApiResponse(response.status_code, json.loads(response.content))

    def get(self, path: str) -> Any:
        """The payload of a GET request."""
        return self.send("GET", path).data

    def create(self, path: str, **fields: Any) -> Any:
        """The payload of a POST request that has to succeed."""
        response = self.send("POST", path, fields)
        assert response.status == 201, response
        return response.data
