"""Every way in which an upstream misbehaves: what the client sees, how often each upstream is called, what the rows say.

Each case runs for clients of every dialect, whole and streamed; once where nothing else can answer, and once with a second
healthy upstream.
"""

import gzip
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.translation.framing import eventstream
from tests.support.fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Loop, Reply, bytes_reply, event, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import expect_soon

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def chat_answer(text="well"):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def chunk(delta, finish=None, **fields):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if delta is not None else []
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields})


OPENED = chunk({"role": "assistant", "content": ""})
FINISH = (chunk({}, "stop"), chunk(None, usage=USAGE), event("[DONE]"))
WELL = chat_answer()
STREAM = (OPENED, chunk({"content": "well"}), *FINISH)


def error(status, message="so it goes", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json_reply({"error": {"message": message, "type": "some_error"}}, status=status, headers=named)


def answering(request):
    """A healthy upstream."""
    return sse(*STREAM) if request.json().get("stream") else json_reply(WELL)


def plain(body, kind="application/json", **headers):
    return bytes_reply(body, headers={"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}})


@dataclass(frozen=True)
class Case:
    """One misbehaviour. `status`: for Messages and Chat clients if no other upstream answers; `calls`: how often the upstream is called."""

    reply: Reply
    status: tuple[int, int]
    kind: str
    calls: int = 1
    saved: bool = True
    """Whether the healthy upstream is called."""
    retry_after: str | None = None
    invoke: int | None = None
    """What InvokeModel clients see, where it does not follow from what Messages clients do."""
    streamed: bool | None = None
    """Only for streams, or only for whole answers; None for both."""


INVOKE = {502: 424, 504: 408, 529: 503}
"""Bedrock's statuses for a model's bad answer, a timeout and an overload."""
SQUEEZED = gzip.compress(json.dumps(WELL).encode())
CASES = {
    "resets": Case(Reply(instead=RESET), (502, 502), "api_error", calls=2, invoke=503),
    "closes before the headers": Case(Reply(instead=CLOSE), (502, 502), "api_error", calls=2, invoke=503),
    "hangs before the headers": Case(Reply(instead=HANG), (504, 504), "timeout_error"),
    "429": Case(error(429), (429, 429), "rate_limit_error"),
    "429 with Retry-After": Case(error(429, retry_after="7"), (429, 429), "rate_limit_error", retry_after="7"),
    "401": Case(error(401), (502, 502), "api_error"),
    "403": Case(error(403), (403, 403), "permission_error"),
    "404": Case(error(404), (404, 404), "not_found_error"),
    "500": Case(error(500), (500, 500), "api_error"),
    "502": Case(error(502), (502, 502), "api_error"),
    "503": Case(error(503), (529, 503), "overloaded_error"),
    "529": Case(error(529), (529, 503), "overloaded_error"),
    "500 that breaks off": Case(Reply(500, {"content-length": "99"}, (b"{", CLOSE), chunked=False), (500, 500), "api_error"),
    "400": Case(error(400), (400, 400), "invalid_request_error", saved=False),
    "413": Case(error(413), (413, 413), "request_too_large", saved=False),
    "422": Case(error(422), (400, 400), "invalid_request_error", saved=False),
    "HTML": Case(plain(b"<html>oops</html>", "text/html"), (502, 502), "api_error"),
    "half a JSON": Case(plain(b'{"id": "c", "choi'), (502, 502), "api_error"),
    "nothing": Case(plain(b""), (502, 502), "api_error"),
    "200 with an error": Case(json_reply({"error": {"message": "no", "type": "server_error"}}), (502, 502), "api_error"),
    "truncated gzip": Case(plain(SQUEEZED[:40], content_encoding="gzip"), (502, 502), "api_error", invoke=503),
    "a body that breaks off": Case(
        Reply(200, {"content-type": "application/json", "content-length": "400"}, (b'{"id":', CLOSE), chunked=False),
        (502, 502),
        "api_error",
        invoke=503,
    ),
    "a body that hangs": Case(
        Reply(200, {"content-type": "application/json", "content-length": "400"}, (b'{"id":', HANG), chunked=False),
        (504, 504),
        "timeout_error",
    ),
    "an empty stream": Case(sse(), (502, 502), "api_error", streamed=True, invoke=503),
    "a stream that only opens": Case(sse(OPENED), (502, 502), "api_error", streamed=True, invoke=503),
    "a stream that breaks off before content": Case(sse(OPENED, 0.5, RESET), (502, 502), "api_error", streamed=True, invoke=503),
    "a stream that hangs before content": Case(sse(OPENED, HANG), (504, 504), "timeout_error", streamed=True),
    "a stream of nothing but comments": Case(
        sse(OPENED, *(b": still here\n\n", 0.3) * 20, *STREAM), (504, 504), "timeout_error", streamed=True
    ),
    "an error event before content": Case(
        sse(OPENED, event({"error": {"message": "no", "type": "server_error"}})), (502, 502), "api_error", streamed=True
    ),
}
Key = tuple[str, str, bool, bool]
"""A case, the client's dialect, whether it streams, and whether there is a healthy second upstream."""
KEYS: list[Key] = [
    (name, dialect, stream, with_second)
    for name, case in CASES.items()
    for dialect in ("messages", "chat", "responses", "invoke")
    for stream in (False, True)
    for with_second in (False, True)
    if case.streamed is None or case.streamed is stream
]


@pytest.fixture(scope="module")
def gateway():
    """One whose circuit breakers stay out of the way."""
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_HOLD_SECONDS="60") as running:
        yield running


def request_of(dialect: str, model: str, text: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request in a client's dialect."""
    turns = [{"role": "user", "content": text}]
    if dialect == "responses":
        return "/v1/responses", {"model": model, "stream": stream, "input": turns}
    if dialect == "invoke":
        path = f"/model/{model}/invoke" + ("-with-response-stream" if stream else "")
        return path, {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": turns}
    path = {"messages": "/v1/messages", "chat": "/v1/chat/completions"}[dialect]
    return path, {"model": model, "max_tokens": 99, "stream": stream, "messages": turns}


def text_of_events(content: bytes) -> str:
    """The text of a stream of AWS events that hold Anthropic's."""
    reader, texts = eventstream.EventStreamReader(), []
    for frame in [*reader.feed(content), *reader.close()]:
        message_event = json.loads(frame.data)
        texts.append(message_event.get("delta", {}).get("text", ""))
    return "".join(texts)


class ClientCall:
    """One request of a client to the gateway, its answer and its log row."""

    def __init__(self, gateway: Gateway, model: str, dialect: str, *, stream: bool, **headers: str) -> None:
        self._text = f"Hi, I am {uuid.uuid4()}"
        path, body = request_of(dialect, model, self._text, stream=stream)
        self.answer = gateway.http.post(gateway.url + path, headers={**gateway.client_headers, **headers}, json=body)
        self._gateway = gateway

    def row(self) -> dict[str, Any]:
        (row,) = self._gateway.logs(1, request_id=self.answer.headers["x-pxbin-request-id"])
        detailed: dict[str, Any] = self._gateway.api("GET", f"/logs/{row['id']}")
        return detailed

    def calls_of(self, upstream: FakeUpstream) -> int:
        """How often this upstream got the request."""
        return sum(self._text.encode() in received.body for received in upstream.requests)

    @property
    def text(self) -> str:
        """The text of the answer, of any dialect, streamed or not."""
        if self.answer.headers["content-type"] == "application/json":
            value = self.answer.json()
            if "output" in value:
                return str(value["output"][0]["content"][0]["text"])
            return str(value["content"][0]["text"] if "content" in value else value["choices"][0]["message"]["content"])
        if self.answer.headers["content-type"].startswith("application/vnd.amazon"):
            return text_of_events(self.answer.content)
        texts = []
        for line in self.answer.text.splitlines():
            if line.startswith("data: {"):
                value = json.loads(line[6:])
                if isinstance(value.get("delta"), str):
                    texts.append(value["delta"] if value["type"] == "response.output_text.delta" else "")
                    continue
                delta = value.get("delta") or next((choice["delta"] for choice in value.get("choices", ())), {})
                texts.append(delta.get("text") or delta.get("content") or "")
        return "".join(texts)


IMPATIENT = {"first_byte_timeout_seconds": 1.0, "idle_timeout_seconds": 1.0}
"""Timeouts for upstreams that hang; the others keep the default ones, so that a busy machine causes no timeout."""


def named(upstream: FakeUpstream, gateway: Gateway, **fields: Any) -> str:
    name = f"u-{uuid.uuid4().hex[:8]}"
    gateway.add_upstream(upstream, name, name=name, **{"cooldown_seconds": 0, **fields})
    return name


def two(gateway: Gateway, sick: FakeUpstream, well: FakeUpstream, **fields: Any) -> str:
    """The name of a model whose first route leads to the failing upstream."""
    name = named(sick, gateway, **fields)
    well_id = gateway.add_upstream(well, name=f"{name}-well", priority=5)
    gateway.api("POST", "/routes", json={"model_id": gateway.id_of("/models", name), "upstream_id": well_id, "priority": 5})
    return name


class Stage:
    """A failing and a healthy upstream, a model that has a route to the first alone, and one that has routes to both."""

    def __init__(self, gateway: Gateway, loop: Loop, case: Case) -> None:
        self.sick, self.well = FakeUpstream(loop), FakeUpstream(loop)
        self.sick.otherwise(case.reply)
        self.well.otherwise(answering)
        patience = IMPATIENT if case.kind == "timeout_error" else {}
        self.models = (named(self.sick, gateway, **patience), two(gateway, self.sick, self.well, **patience))

    def stop(self) -> None:
        self.sick.stop()
        self.well.stop()


class Run:
    """One case with one kind of client, sent at once; its row is read when all requests have been sent."""

    def __init__(self, gateway: Gateway, stage: Stage, key: Key) -> None:
        name, self.dialect, self.stream, with_second = key
        self.case = CASES[name]
        self.call = ClientCall(gateway, stage.models[with_second], self.dialect, stream=self.stream)
        self._stage = stage
        messages, chat = self.case.status
        self.status = {"messages": messages, "invoke": self.case.invoke or INVOKE.get(messages, messages)}.get(self.dialect, chat)

    def calls(self) -> tuple[int, int]:
        """How often the failing and the healthy upstream got it; a call that was cancelled early may arrive later."""
        return self.call.calls_of(self._stage.sick), self.call.calls_of(self._stage.well)


@pytest.fixture(scope="module")
def runs(gateway, fake_loop):
    """All runs by their keys. Several are sent at a time, since most of each is waiting.

    A case has one stage for all of them, except where an answer keeps its upstream away from the next request.
    """
    stages: dict[Any, Stage] = {}
    for key in KEYS:
        stage_key = key if CASES[key[0]].retry_after else key[0]
        if stage_key not in stages:
            stages[stage_key] = Stage(gateway, fake_loop, CASES[key[0]])

    def run(key: Key) -> Run:
        return Run(gateway, stages.get(key) or stages[key[0]], key)

    with ThreadPoolExecutor(8) as pool:
        runs_by_key = dict(zip(KEYS, pool.map(run, KEYS), strict=True))
    gateway.logs(len(KEYS))
    yield runs_by_key
    for stage in stages.values():
        stage.stop()


@pytest.mark.parametrize("key", [key for key in KEYS if not key[3]], ids=str)
def test_with_one_upstream(runs, key):
    run = runs[key]
    answer, case = run.call.answer, run.case
    assert answer.status_code == run.status, answer.text
    expect_soon(run.calls, (case.calls, 0))
    if run.dialect == "messages":
        assert answer.json()["error"]["type"] == case.kind
    assert answer.headers.get("retry-after") == case.retry_after
    assert answer.headers["x-pxbin-attempts"] == str(case.calls)
    row = run.call.row()
    assert (row["outcome"], row["status_code"], row["attempts"]) == ("failed", run.status, case.calls)
    assert (row["input_tokens"], row["output_tokens"]) == (0, 0)


@pytest.mark.parametrize("key", [key for key in KEYS if key[3]], ids=str)
def test_with_a_healthy_second(runs, key):
    run = runs[key]
    answer, case = run.call.answer, run.case
    expect_soon(run.calls, (case.calls, int(case.saved)))
    row = run.call.row()
    if not case.saved:
        assert (answer.status_code, row["outcome"]) == (run.status, "failed")
        return
    assert (answer.status_code, run.call.text) == (200, "well")
    assert (row["outcome"], row["status_code"], row["attempts"]) == ("finished", 200, case.calls + 1)
    assert [attempt["outcome"] for attempt in row["tries"]] == ["failed"] * case.calls + ["finished"]
    assert (row["input_tokens"], row["output_tokens"], row["usage_estimated"]) == (5, 2, False)
    assert answer.headers["x-pxbin-attempts"] == str(case.calls + 1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_that_is_not_there(gateway, upstream, second_upstream, stream):
    upstream.stop()
    second_upstream.otherwise(answering)
    call = ClientCall(gateway, two(gateway, upstream, second_upstream), "messages", stream=stream)
    assert (call.answer.status_code, call.text) == (200, "well")
    assert [attempt["error_type"] for attempt in call.row()["tries"]] == ["connect", "connect", ""]


@pytest.mark.parametrize("ending", [(RESET,), (CLOSE,), (HANG,), ()], ids=["reset", "close", "hang", "unfinished"])
def test_a_stream_that_fails_after_content_ends_in_an_error_and_goes_nowhere_else(gateway, upstream, second_upstream, ending):
    upstream.otherwise(sse(OPENED, chunk({"content": "one two three"}), 0.5, *ending))
    patience = IMPATIENT if ending == (HANG,) else {}
    call = ClientCall(gateway, two(gateway, upstream, second_upstream, **patience), "messages", stream=True)
    assert (call.answer.status_code, call.text, len(second_upstream.requests)) == (200, "one two three", 0)
    assert [line for line in call.answer.text.splitlines() if line.startswith("event: ")][-1] == "event: error"
    row = call.row()
    assert (row["outcome"], row["status_code"], row["usage_estimated"]) == ("failed", 200, True)
    assert row["output_tokens"] == 4


def test_a_response_that_arrives_slowly_is_complete(gateway, upstream):
    upstream.otherwise(sse(OPENED, *(piece for letter in "well" for piece in (0.2, chunk({"content": letter}))), *FINISH))
    call = ClientCall(gateway, named(upstream, gateway), "messages", stream=True)
    assert (call.text, call.row()["outcome"]) == ("well", "finished")


def test_a_stream_that_calls_itself_json_is_an_answer(gateway, upstream):
    upstream.otherwise(plain(b"".join(STREAM)))
    for stream in (True, False):
        call = ClientCall(gateway, named(upstream, gateway), "messages", stream=stream)
        assert (call.answer.status_code, call.text) == (200, "well")


def test_a_whole_answer_to_a_streamed_request_is_an_answer(gateway, upstream):
    upstream.otherwise(json_reply(WELL))
    call = ClientCall(gateway, named(upstream, gateway), "chat", stream=True)
    assert (call.answer.headers["content-type"], call.text) == ("text/event-stream", "well")


def test_a_properly_finished_empty_answer_is_success(gateway, upstream, second_upstream):
    upstream.otherwise(sse(OPENED, *FINISH))
    call = ClientCall(gateway, two(gateway, upstream, second_upstream), "messages", stream=True)
    assert (call.answer.status_code, call.text, len(second_upstream.requests)) == (200, "", 0)
