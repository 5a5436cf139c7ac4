"""A dialect is one folder and one line: a gateway with a toy dialect that no module of its own knows of."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import toy_dialect
from tests.support.fake_upstream import FakeUpstream, event, json_reply, sse
from tests.support.gateway import ROOT, Gateway

FOLDER = Path(toy_dialect.__file__).parent
SAYING = {"kind": "saying", "of": "remote", "text": "Hello", "spent": {"in": 3, "out": 2}}
SAID_LIVE = (event({"bit": "Hel"}, name="bit"), event({"bit": "lo"}, name="bit"), event({"spent": {"in": 3, "out": 2}}, name="end"))
CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "remote",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
CHAT_LIVE = (
    event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None}]}),
    event({"id": "c", "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]}),
    event({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
    event("[DONE]"),
)


@pytest.fixture(scope="module")
def toy() -> Iterator[Gateway]:
    """A gateway whose processes register the toy dialect at their start."""
    with Gateway.started(PYTHONPATH=f"{FOLDER / 'hook'}:{ROOT}") as gateway:
        yield gateway


def request_body(model: str, **fields: object) -> dict[str, object]:
    return {"model": model, "lines": [{"who": "person", "text": "Hi"}], "limit": 10, **fields}


def say(gateway: Gateway, body: object, path: str = "say", **headers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {gateway.client_key}", **headers}
    return gateway.http.post(f"{gateway.url}/toy/v2/{path}", json=body, headers=headers, timeout=30)


def events(answer: httpx.Response) -> list[tuple[str, object]]:
    matches = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)
    return [(name, json.loads(data)) for name, data in matches]


def claude(gateway: Gateway, model: str, *, stream: bool = False) -> httpx.Response:
    body = {"model": model, "max_tokens": 10, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return gateway.http.post(f"{gateway.url}/v1/messages", json=body, headers=gateway.client_headers, timeout=30)


def test_a_toy_client_is_translated_to_a_chat_upstream(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "chat-whole", format="openai")
    upstream.reply(json_reply(CHAT))
    answer = say(toy, request_body("chat-whole", setup="Be brief."))
    assert (answer.status_code, answer.json()) == (200, {**SAYING, "of": "chat-whole"})
    assert answer.headers["x-toy-id"] == answer.headers["x-request-id"]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert upstream.requests[0].path == "/v1/chat/completions"
    assert upstream.requests[0].json() == {"model": "chat-whole", "messages": messages, "max_completion_tokens": 10}


def test_a_toy_client_streams_from_a_chat_upstream(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "chat-live", format="openai")
    upstream.reply(sse(*CHAT_LIVE))
    bits = events(say(toy, request_body("chat-live"), "say/live"))
    assert bits == [("bit", {"bit": "Hel"}), ("bit", {"bit": "lo"}), ("end", {"spent": {"in": 3, "out": 2}})]


def test_an_anthropic_client_is_translated_to_a_toy_upstream(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "toy-whole", format="toy-sayings")
    upstream.reply(json_reply(SAYING, headers={"x-toy-left": "7", "x-other": "1"}))
    answer = claude(toy, "toy-whole")
    assert answer.json()["content"] == [{"type": "text", "text": "Hello", "citations": None}]
    assert answer.json()["usage"] | {"input_tokens": 3, "output_tokens": 2} == answer.json()["usage"]
    assert (answer.headers["x-toy-left"], "x-other" in answer.headers) == ("7", False)
    [received] = upstream.requests
    assert (received.path, received.header("x-toy-key"), received.header("x-toy-version")) == ("/toy/v2/say", "sk-upstream-secret", "2")
    assert (received.header("authorization"), received.header("anthropic-version")) == (None, None)
    assert received.json() == request_body("toy-whole", setup="Be brief.")


def test_an_anthropic_client_streams_from_a_toy_upstream(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "toy-live", format="toy-sayings")
    upstream.reply(sse(*SAID_LIVE))
    deltas = re.findall(r'"text_delta","text":"(\w+)"', claude(toy, "toy-live", stream=True).text)
    assert (deltas, upstream.requests[0].path) == (["Hel", "lo"], "/toy/v2/say/live")


def test_toy_to_toy_passes_through_with_its_own_headers(toy: Gateway, upstream: FakeUpstream) -> None:
    upstream_id = toy.add_upstream(upstream, format="toy-sayings")
    toy.api("POST", "/models", json={"name": "toy-same", "upstream_id": upstream_id, "remote_name": "remote"})
    upstream.reply(json_reply(SAYING | {"unknown": 1}), sse(*SAID_LIVE))
    answer = say(toy, request_body("toy-same", unknown=[1]), **{"x-toy-mood": "merry", "x-other": "1"})
    assert answer.json() == {**SAYING, "of": "toy-same", "unknown": 1}
    assert say(toy, request_body("toy-same"), "say/live").content == b"".join(SAID_LIVE)
    assert upstream.requests[0].json() == request_body("remote", unknown=[1])
    assert (upstream.requests[0].header("x-toy-mood"), upstream.requests[0].header("x-other")) == ("merry", None)


def test_policies_edit_the_prompt_of_a_toy_client(toy: Gateway, upstream: FakeUpstream) -> None:
    upstream_id = toy.add_upstream(upstream, format="toy-sayings")
    toy.api("POST", "/models", json={"name": "toy-terse", "upstream_id": upstream_id, "system_append": "Be terse.", "max_tokens_cap": 4})
    upstream.reply(json_reply(SAYING))
    assert say(toy, request_body("toy-terse", setup="You are a toy.")).status_code == 200
    assert upstream.requests[0].json() == request_body("toy-terse", setup="You are a toy.\n\nBe terse.", limit=4)


def test_errors_are_written_as_the_toy_writes_them(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "toy-failing", format="toy-sayings", max_retries=0)
    upstream.otherwise(json_reply({"oops": "x", "text": "The toy is ill"}, status=400))
    url = f"{toy.url}/toy/v2"
    refused = {
        "no key": toy.http.post(f"{url}/say", json=request_body("toy-failing")),
        "unknown model": say(toy, request_body("nobody")),
        "no model": say(toy, {"lines": []}),
        "no JSON": toy.http.post(f"{url}/say", content=b"{", headers=toy.client_headers),
        "bad line": say(toy, {"model": "toy-failing", "lines": 7}),
        "unknown path": toy.http.post(f"{url}/sing", json={}),
        "wrong method": toy.http.put(f"{url}/say", json={}),
        "of the upstream": say(toy, request_body("toy-failing", lines=[])),
    }
    errors = {name: (answer.status_code, answer.json()["oops"]) for name, answer in refused.items()}
    assert errors == {
        "no key": (401, "authentication"),
        "unknown model": (404, "model_not_found"),
        "no model": (400, "invalid_request"),
        "no JSON": (400, "invalid_request"),
        "bad line": (400, "invalid_request"),
        "unknown path": (404, "not_found"),
        "wrong method": (405, "method_not_allowed"),
        "of the upstream": (400, "invalid_request"),
    }
    assert {answer.headers["x-toy-id"] == answer.headers["x-request-id"] for answer in refused.values()} == {True}
    assert refused["of the upstream"].json()["text"] == "The toy is ill"


def test_tokens_are_counted_by_the_toy_or_estimated(toy: Gateway, upstream: FakeUpstream, second_upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "toy-counting", format="toy-sayings")
    toy.add_upstream(second_upstream, "chat-counting", format="openai")
    upstream.otherwise(json_reply({"weight": 41}))
    assert say(toy, request_body("toy-counting"), "weigh").json() == {"weight": 41}
    weighed = {name: value for name, value in request_body("toy-counting").items() if name != "limit"}
    assert [(received.path, received.json()) for received in upstream.requests] == [("/toy/v2/weigh", weighed)]
    assert say(toy, request_body("chat-counting"), "weigh").json()["weight"] > 0
    messages_body = {"model": "toy-counting", "messages": [{"role": "user", "content": "Hi"}]}
    counted = toy.http.post(f"{toy.url}/v1/messages/count_tokens", json=messages_body, headers=toy.client_headers)
    assert counted.json() == {"input_tokens": 41}


def test_a_health_check_probes_it_and_discovery_lists_its_models(toy: Gateway, upstream: FakeUpstream) -> None:
    pages = {"/toy/v2/names": {"names": ["toy-a"], "more": "2"}, "/toy/v2/names?from=2": {"names": ["toy-b"]}, "/toy/v2/say": SAYING}
    upstream.otherwise(lambda request: json_reply(pages[request.path]))
    upstream_id = toy.add_upstream(upstream, format="toy-sayings")
    report = toy.api("POST", "/upstreams/health-check", json={"upstream_id": upstream_id})
    assert (report["healthy"], report["models_found"], report["tested_model"]) == (True, 2, "toy-a")
    pages["/toy/v2/say"] = {"kind": "nonsense"}
    report = toy.api("POST", "/upstreams/health-check", json={"upstream_id": upstream_id})
    assert (report["healthy"], report["error"]) == (False, "Saying response is not a JSON object")
    assert toy.api("POST", f"/upstreams/{upstream_id}/discover") == {"created": 2, "vanished": 0, "returned": 0}
    listed = toy.http.get(f"{toy.url}/toy/v2/names", headers=toy.client_headers).json()["names"]
    assert {"toy-a", "toy-b"} <= set(listed)
    assert toy.http.get(f"{toy.url}/toy/v2/names/toy-a", headers=toy.client_headers).json() == {"name": "toy-a"}


def test_scripts_and_people_can_choose_it(toy: Gateway, upstream: FakeUpstream) -> None:
    upstream_id = toy.add_upstream(upstream, format="toy-sayings")
    assert toy.api("GET", f"/upstreams/{upstream_id}")["format"] == "toy-sayings"
    schema = toy.http.get(f"{toy.url}/api/v1/openapi.json", headers=toy.management_headers).text
    assert '"toy-sayings"' in schema
    refused = toy.http.post(f"{toy.url}/api/v1/upstreams", json={"name": "x", "format": "y"}, headers=toy.management_headers)
    assert "'toy-sayings'" in refused.json()["error"]["message"]
    with httpx.Client(base_url=toy.url, follow_redirects=True, timeout=30) as browser:
        page = browser.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token is not None
        form = {"username": toy.admin_name, "password": toy.admin_password, "csrfmiddlewaretoken": token[1]}
        browser.post("/admin/login/", data=form, headers={"referer": f"{toy.url}/admin/login/"})
        assert '<option value="toy">Toy Sayings</option>' in browser.get("/admin/upstreams/upstream/add/").text
        assert "Toy Sayings" in browser.get("/admin/upstreams/upstream/").text


def test_the_log_says_what_the_client_spoke(toy: Gateway, upstream: FakeUpstream) -> None:
    toy.add_upstream(upstream, "toy-logged", format="toy-sayings")
    upstream.reply(json_reply(SAYING))
    say(toy, request_body("toy-logged"))
    [row] = toy.logs(1, model="toy-logged")
    columns = {name: row[name] for name in ("dialect", "input_format", "upstream_dialect", "input_tokens", "output_tokens", "path")}
    assert columns == {
        "dialect": "toy", "input_format": "openai", "upstream_dialect": "toy", "input_tokens": 3, "output_tokens": 2, "path": "/toy/v2/say",
    }  # fmt: skip


def test_its_cases_are_found_by_the_case_tests() -> None:
    suites = ("tests/proxy/translation/dialects/test_wire_cases.py", "tests/proxy/translation/test_translate_cases.py")
    options = ("-q", "-rA", "-p", "no:cacheprovider", "-p", "tests.support.toy_dialect.plugin", "-k", "toy")
    process = subprocess.run([sys.executable, "-m", "pytest", *suites, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    passed = set(re.findall(r"PASSED \S+::(\w+)\[([\w-]+)\]", process.stdout))
    assert process.returncode == 0, process.stdout
    assert passed >= {
        ("test_a_request_means_this", "toy-request-a-conversation"),
        ("test_a_request_is_refused", "toy-refusal-unknown-speaker"),
        ("test_an_answer_means_this", "toy-a-saying"),
        ("test_a_stream_means_this_in_any_split", "toy-a-saying-1"),
        ("test_a_stream_folds_into_its_twin", "toy-a-saying"),
        ("test_the_upstream_gets_the_request", "toy-anthropic-a-saying"),
        ("test_the_upstream_gets_the_request", "openai_chat-toy-a-saying"),
        ("test_the_client_gets_the_answer", "toy-anthropic-a-saying"),
    }
