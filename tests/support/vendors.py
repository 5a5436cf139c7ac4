"""Six providers, one for each dialect.

    vendor.says(Completion("Hello", calls=[Call("call_1", "f", '{"a":1}')]))   # the next answer, streamed if it was asked so
    vendor.last                                                               # the request that arrived, as JSON

A vendor checks what it gets as the real API would, and answers 400 with the sentence where it would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support import rules_anthropic, rules_converse, rules_gemini, rules_openai_chat, rules_openai_responses
from tests.support.fake_upstream import CLOSE, FakeUpstream, Loop, Received, Reply, json_reply
from tests.support.vendor_wires import (
    Completion,
    Json,
    bedrock_stream,
    chat_stream,
    chat_whole,
    message_events,
    message_whole,
    named,
    response_events,
    response_whole,
)
from tests.support.vendor_wires_clouds import converse_stream, converse_whole, google_stream, google_whole

NATIVE_TOOL_FIELDS = {"type", "input_examples", "eager_input_streaming", "defer_loading", "allowed_callers"}
"""Fields of a tool that only clients of Anthropic's dialect send; translation adds none."""
EVENT_STREAM = "application/vnd.amazon.eventstream"


class Vendor:
    """One provider. ``split``: its streams come in pieces of so many bytes; 0 is an event at a time."""

    def __init__(self, dialect: str, loop: Loop) -> None:
        self.dialect = dialect
        self.fake = FakeUpstream(loop)
        self.fake.otherwise(self._answer)
        self.refused: list[str] = []
        """Why requests were refused, since answers were last laid ready."""
        self.split = 0
        self.takes_own_clients = False
        """Whether bodies of its own SDK arrive as they are: the real API takes more in them than translation makes of it."""
        self._ready: list[Completion | Reply] = [Completion("Hello")]

    def says(self, *answers: Completion | Reply) -> None:
        """Lay answers ready; the last one is repeated. What has arrived before is forgotten."""
        self.fake.requests.clear()
        self.refused.clear()
        self._ready = list(answers)

    def fails(self, status: int, message: str, **headers: str) -> None:
        """Answer with an error, as this provider writes it."""
        self.says(error_of(self.dialect, status, message, headers))

    @property
    def bodies(self) -> list[Json]:
        """What has arrived."""
        return [request.json() for request in self.fake.requests]

    @property
    def last(self) -> Json:
        """What arrived last."""
        return self.bodies[-1]

    def _answer(self, received: Received) -> Reply:
        body = received.json()
        try:
            if not self.takes_own_clients:
                CHECKS[self.dialect](received, body)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return error_of(self.dialect, 400, f"refused by the vendor: {error!r}", {})
        completion = self._ready.pop(0) if len(self._ready) > 1 else self._ready[0]
        return completion if isinstance(completion, Reply) else self._render(completion, received, body)

    def _render(self, completion: Completion, received: Received, body: Json) -> Reply:
        if self.dialect == "bedrock":
            model = "claude"
            if not received.path.endswith("with-response-stream"):
                return json_reply(message_whole(completion, model), headers={"x-amzn-requestid": "aws-1"})
            return Reply(200, {"content-type": EVENT_STREAM}, self._pieces(bedrock_stream(completion, model), completion))
        if self.dialect == "bedrock_converse":
            if not received.path.endswith("converse-stream"):
                return json_reply(converse_whole(completion), headers={"x-amzn-requestid": "aws-1"})
            return Reply(200, {"content-type": EVENT_STREAM}, self._pieces(converse_stream(completion), completion))
        if self.dialect == "gemini":
            config = body.get("generationConfig", {}).get("thinkingConfig", {})
            shows_thoughts = config.get("includeThoughts") is True
            if ":streamGenerateContent" not in received.path:
                return json_reply(google_whole(completion, shows_thoughts=shows_thoughts))
            pieces = self._pieces(google_stream(completion, shows_thoughts=shows_thoughts), completion)
            return Reply(200, {"content-type": "text/event-stream"}, pieces)
        if not body.get("stream"):
            wholes: dict[str, Callable[[], Json]] = {
                "openai_chat": lambda: chat_whole(completion, body),
                "anthropic": lambda: message_whole(completion, body["model"]),
                "openai_responses": lambda: response_whole(completion, body),
            }
            return json_reply(wholes[self.dialect](), headers={"x-request-id": "req_up1", "x-ratelimit-remaining-requests": "7"})
        streams: dict[str, Callable[[], Iterator[bytes]]] = {
            "openai_chat": lambda: chat_stream(completion, body),
            "anthropic": lambda: named(_closing(message_events(completion, body["model"]), completion)),
            "openai_responses": lambda: named(response_events(completion, body), numbered=True),
        }
        return Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, self._pieces(streams[self.dialect](), completion))

    def _pieces(self, frames: Iterator[bytes], completion: Completion) -> list[Any]:
        pieces: list[Any] = list(frames)
        if self.split:
            stream_bytes = b"".join(pieces)
            pieces = [stream_bytes[at : at + self.split] for at in range(0, len(stream_bytes), self.split)]
        return [*pieces, CLOSE] if completion.breaks == "close" else pieces


def _closing(events: Iterator[Json], completion: Completion) -> Iterator[Json]:
    for value in events:
        if value["type"] == "error" and completion.breaks == "close":
            return
        yield value


def error_of(dialect: str, status: int, message: str, headers: Json) -> Reply:
    """An error as the provider writes it."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kinds |= {413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error", 503: "overloaded_error"}
    if dialect == "anthropic":
        body: Json = {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}, "request_id": "req_up1"}
        return json_reply(body, status=status, headers={"request-id": "req_up1", **headers})
    if dialect == "gemini":
        words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
        words |= {500: "INTERNAL", 503: "UNAVAILABLE"}
        return json_reply(
            {"error": {"code": status, "message": message, "status": words.get(status, "UNKNOWN")}}, status=status, headers=headers
        )
    if dialect.startswith("bedrock"):
        names = {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException"}
        names |= {404: "ResourceNotFoundException", 429: "ThrottlingException", 500: "InternalServerException"}
        names |= {503: "ServiceUnavailableException"}
        kind = names.get(status, "InternalServerException")
        return json_reply({"message": message}, status=status, headers={"x-amzn-errortype": f"{kind}:http://internal/", **headers})
    error = {"message": message, "type": "invalid_request_error" if status < 500 else "server_error", "param": None, "code": None}
    if status == 429:
        error |= {"type": "requests", "code": "rate_limit_exceeded"}
    if status == 404:
        error |= {"code": "model_not_found"}
    return json_reply({"error": error}, status=status, headers={"x-request-id": "req_up1", **headers})


def _check_chat(received: Received, body: Json) -> None:
    assert received.path == "/v1/chat/completions", received.path
    assert (received.header("authorization") or "").startswith("Bearer sk-"), "no bearer key"
    rules_openai_chat.check_request(body)


def _check_messages(received: Received, body: Json) -> None:
    assert received.path.partition("?")[0] == "/v1/messages", received.path
    assert received.header("anthropic-version"), "anthropic-version: header is required"
    tools = [{key: value for key, value in tool.items() if key not in NATIVE_TOOL_FIELDS} for tool in body.get("tools", ())]
    rules_anthropic.check_request({**body, "tools": tools} if tools else body)


def _check_responses(received: Received, body: Json) -> None:
    assert received.path == "/v1/responses", received.path
    rules_openai_responses.check_request(body)


def _check_bedrock(received: Received, body: Json) -> None:
    assert received.path.startswith("/model/"), received.path
    assert body["anthropic_version"] == "bedrock-2023-05-31", "anthropic_version"
    rest = {key: value for key, value in body.items() if key not in ("anthropic_version", "anthropic_beta")}
    assert not {"model", "stream"} & set(rest), "model or stream in the body"
    rules_anthropic.check_request(rest)


def _check_gemini(received: Received, body: Json) -> None:
    path, _, query = received.path.partition("?")
    assert path.startswith("/v1beta/models/"), path
    assert query == ("alt=sse" if path.endswith(":streamGenerateContent") else ""), query
    assert received.header("x-goog-api-key"), "no x-goog-api-key"
    rules_gemini.check_request(body)


def _check_converse(received: Received, body: Json) -> None:
    assert received.path.startswith("/model/"), received.path
    rules_converse.check_request(body)


CHECKS: dict[str, Callable[[Received, Json], None]] = {
    "openai_chat": _check_chat,
    "anthropic": _check_messages,
    "openai_responses": _check_responses,
    "bedrock": _check_bedrock,
    "bedrock_converse": _check_converse,
    "gemini": _check_gemini,
}
